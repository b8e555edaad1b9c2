use std::io::Read;
use std::process::{Command, Stdio};

use flate2::read::MultiGzDecoder;

use super::*;
use crate::Digest;

/// Numbers, words and lines: compressible here, random there, 3 MB and a bit.
pub(crate) fn sample(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut bytes = Vec::with_capacity(len + 64);
    while bytes.len() < len {
        let n = next();
        match n % 3 {
            0 => bytes.extend(next().to_le_bytes()),
            1 => bytes.extend(format!("def function_{}(self):\n", n % 97).bytes()),
            _ => bytes.extend(b"    return self.value\n"),
        }
    }
    bytes.truncate(len);
    bytes
}

fn gzip(input: &[u8], threads: usize, write_size: usize) -> Vec<u8> {
    let mut writer = GzipWriter::new(Vec::new(), threads).unwrap();
    for chunk in input.chunks(write_size) {
        writer.write_all(chunk).unwrap();
        writer.flush().unwrap();
    }
    writer.finish().unwrap()
}

fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut output = Vec::new();
    MultiGzDecoder::new(bytes).read_to_end(&mut output).unwrap();
    output
}

#[test]
fn the_encoder_is_the_one_that_digests_are_made_with() {
    let output = gzip(&sample(3_000_017), 2, 4096);
    assert_eq!(
        (Digest::of(&output).to_string().as_str(), output.len()),
        (
            "sha256:21b1abe8e040c52fc8842aa3db79fa02598c8982c784e32a2f49190242c9db8b",
            660_870
        ),
        "the gzip encoder changed: every layer gets another digest"
    );
}

#[test]
fn threads_and_write_sizes_do_not_show() {
    let input = sample(3_000_017);
    let expected = gzip(&input, 1, input.len());
    for threads in [1, 2, 4] {
        for write_size in [1000, BLOCK - 1, BLOCK + 1] {
            assert!(
                gzip(&input, threads, write_size) == expected,
                "{threads} threads, writes of {write_size} bytes"
            );
        }
    }
    assert!(gzip(&input[..70_000], 2, 1) == gzip(&input[..70_000], 1, 70_000));
}

#[test]
fn every_length_comes_back() {
    let input = sample(2 * BLOCK + 7);
    for len in [
        0,
        1,
        511,
        WINDOW,
        BLOCK - 1,
        BLOCK,
        BLOCK + 1,
        2 * BLOCK,
        2 * BLOCK + 7,
    ] {
        assert!(
            gunzip(&gzip(&input[..len], 2, 8192)) == input[..len],
            "{len}"
        );
    }
}

#[test]
fn zeros_and_noise_come_back() {
    let zeros = vec![0; 3 * BLOCK];
    let packed = gzip(&zeros, 2, 65536);
    assert!(packed.len() < 20_000, "{}", packed.len());
    assert!(gunzip(&packed) == zeros);
    let mut state = 1_u64;
    let noise: Vec<u8> = (0..2 * BLOCK)
        .map(|_| {
            state = state
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            (state >> 56) as u8
        })
        .collect();
    assert!(gunzip(&gzip(&noise, 2, 65536)) == noise);
}

#[test]
fn the_header_says_nothing_about_this_machine() {
    let output = gzip(b"x", 1, 1);
    assert_eq!(output[..10], HEADER);
}

#[test]
fn blocks_look_back_into_the_block_before() {
    // The same noise in front of and behind a block's border compresses to nothing the second time.
    let noise: Vec<u8> = sample(1 << 20)
        .into_iter()
        .step_by(3)
        .take(WINDOW / 2)
        .collect();
    let mut input = vec![0; BLOCK - noise.len()];
    input.extend(&noise);
    let alone = gzip(&input, 1, 65536).len();
    input.extend(&noise);
    let twice = gzip(&input, 1, 65536).len();
    assert!(twice - alone < 200, "{alone} {twice}");
}

#[test]
fn gnu_gzip_accepts_it() {
    let output = gzip(&sample(3_000_017), 2, 4096);
    #[expect(clippy::disallowed_methods, reason = "an oracle of this test only")]
    let mut child = Command::new("gzip")
        .args(["--test", "--verbose"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program gzip is needed");
    child.stdin.take().unwrap().write_all(&output).unwrap();
    let result = child.wait_with_output().unwrap();
    assert!(result.status.success(), "{:?}", result);
}

struct Full(usize);

impl Write for Full {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0 = self
            .0
            .checked_sub(buf.len())
            .ok_or(io::ErrorKind::StorageFull)?;
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_is_an_error_and_no_hang() {
    let input = sample(8 * BLOCK);
    let mut writer = GzipWriter::new(Full(BLOCK), 2).unwrap();
    let result = writer
        .write_all(&input)
        .and_then(|()| writer.finish().map(drop));
    assert_eq!(result.unwrap_err().kind(), io::ErrorKind::StorageFull);
}
