//! Frames of `application/vnd.amazon.eventstream`: what InvokeWithResponseStream answers with.
//!
//! A frame is total length, length of the headers, their CRC32; headers; payload; CRC32 of all before it. Numbers are big
//! endian, the polynomial is that of IEEE 802.3.

/// The answer's content type.
pub const CONTENT_TYPE: &str = "application/vnd.amazon.eventstream";

/// A piece of the function's response.
pub fn payload_chunk(payload: &[u8]) -> Vec<u8> {
    frame("PayloadChunk", "application/octet-stream", payload)
}

/// The end: a JSON object that may carry `ErrorCode`, `ErrorDetails` and `LogResult`.
pub fn invoke_complete(json: &str) -> Vec<u8> {
    frame("InvokeComplete", "application/json", json.as_bytes())
}

fn frame(event: &str, content_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut headers = Vec::new();
    for (name, value) in [
        (":message-type", "event"),
        (":event-type", event),
        (":content-type", content_type),
    ] {
        const TEXT: u8 = 7;
        headers.push(name.len() as u8);
        headers.extend_from_slice(name.as_bytes());
        headers.push(TEXT);
        headers.extend_from_slice(&(value.len() as u16).to_be_bytes());
        headers.extend_from_slice(value.as_bytes());
    }
    const AROUND: usize = 16;
    let mut frame = Vec::with_capacity(AROUND + headers.len() + payload.len());
    let total = (AROUND + headers.len() + payload.len()) as u32;
    frame.extend_from_slice(&total.to_be_bytes());
    frame.extend_from_slice(&(headers.len() as u32).to_be_bytes());
    frame.extend_from_slice(&crc32(&frame).to_be_bytes());
    frame.extend_from_slice(&headers);
    frame.extend_from_slice(payload);
    frame.extend_from_slice(&crc32(&frame).to_be_bytes());
    frame
}

const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut value = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            value = value >> 1 ^ if value & 1 == 1 { 0xedb8_8320 } else { 0 };
            bit += 1;
        }
        table[byte] = value;
        byte += 1;
    }
    table
};

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |sum: u32, &byte| {
        sum >> 8 ^ TABLE[(sum as u8 ^ byte) as usize]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_ieee() {
        for (text, expected) in [("", 0), ("123456789", 0xcbf4_3926)] {
            assert_eq!(crc32(text.as_bytes()), expected);
        }
    }

    #[test]
    fn lengths_and_checksums_fit_together() {
        for frame in [
            payload_chunk(b"hello"),
            payload_chunk(b""),
            invoke_complete("{}"),
        ] {
            let number = |at: usize| u32::from_be_bytes(frame[at..at + 4].try_into().unwrap());
            assert_eq!(number(0) as usize, frame.len());
            assert_eq!(number(8), crc32(&frame[..8]));
            let end = frame.len() - 4;
            assert_eq!(number(end), crc32(&frame[..end]));
        }
        let frame = payload_chunk(b"hello");
        let headers = u32::from_be_bytes(frame[4..8].try_into().unwrap()) as usize;
        assert_eq!(&frame[12 + headers..frame.len() - 4], b"hello");
    }
}
