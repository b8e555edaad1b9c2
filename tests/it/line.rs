//! The line between a program and a server: a proxy that counts what goes over it, and breaks it on purpose.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// A line to a server, in threads that end with the test's process.
pub struct Line {
    pub address: String,
    state: Arc<State>,
}

struct State {
    /// From the program to the server.
    sent: AtomicU64,
    /// Break after so many more bytes are sent.
    cuts: Mutex<Vec<u64>>,
    /// Nothing gets through any more.
    dead: AtomicBool,
    open: Mutex<Vec<TcpStream>>,
}

impl Line {
    /// Breaks when so many bytes were sent in all, for each of `cuts`, in order. After the last one it is dead if
    /// `dies`, else it works again.
    pub fn new(server: &str, cuts: &[u64], dies: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let mut cuts = cuts.to_vec();
        cuts.sort_unstable_by(|a, b| b.cmp(a));
        let state = Arc::new(State {
            sent: AtomicU64::new(0),
            cuts: Mutex::new(cuts),
            dead: AtomicBool::new(false),
            open: Mutex::default(),
        });
        let (shared, server) = (state.clone(), server.to_owned());
        std::thread::spawn(move || {
            for client in listener.incoming() {
                if shared.dead.load(Ordering::SeqCst) {
                    // With the listener gone, connections are refused.
                    return;
                }
                let (client, server) = (client.unwrap(), TcpStream::connect(&server).unwrap());
                let mut open = shared.open.lock().unwrap();
                open.extend([client.try_clone().unwrap(), server.try_clone().unwrap()]);
                drop(open);
                let (back, forth) = (server.try_clone().unwrap(), client.try_clone().unwrap());
                let state = shared.clone();
                std::thread::spawn(move || state.carry(client, server, dies));
                std::thread::spawn(move || {
                    let (mut back, mut forth) = (back, forth);
                    drop(std::io::copy(&mut back, &mut forth));
                    drop(forth.shutdown(Shutdown::Both));
                });
            }
        });
        Self { address, state }
    }

    /// How many bytes went to the server.
    pub fn sent(&self) -> u64 {
        self.state.sent.load(Ordering::SeqCst)
    }

    /// Whether it broke as often as it was to.
    pub fn is_through(&self) -> bool {
        self.state.cuts.lock().unwrap().is_empty()
    }
}

impl State {
    fn carry(&self, mut client: TcpStream, mut server: TcpStream, dies: bool) {
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(n @ 1..) = client.read(&mut buffer) {
            let allowed = self.pass(n as u64, dies);
            if server.write_all(&buffer[..allowed as usize]).is_err() || allowed < n as u64 {
                break;
            }
        }
        drop(server.shutdown(Shutdown::Both));
        drop(client.shutdown(Shutdown::Both));
    }

    /// How much of `n` bytes gets through.
    fn pass(&self, n: u64, dies: bool) -> u64 {
        let mut cuts = self.cuts.lock().unwrap();
        if self.dead.load(Ordering::SeqCst) {
            return 0;
        }
        let before = self.sent.load(Ordering::SeqCst);
        let allowed = match cuts.last() {
            Some(cut) if before + n > *cut => cut.saturating_sub(before),
            _ => n,
        };
        self.sent.fetch_add(allowed, Ordering::SeqCst);
        if allowed < n {
            cuts.pop();
            self.dead.store(dies && cuts.is_empty(), Ordering::SeqCst);
            for stream in self.open.lock().unwrap().drain(..) {
                drop(stream.shutdown(Shutdown::Both));
            }
        }
        allowed
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.state.dead.store(true, Ordering::SeqCst);
        // Wakes the listener.
        drop(TcpStream::connect(&self.address));
    }
}
