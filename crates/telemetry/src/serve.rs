//! `/metrics` of a service that serves nothing else over HTTP.
//!
//! One thread of its own answers one scrape after the other, so that whoever asks, and however slowly, takes nothing
//! from the service's own threads. A request gets two seconds and eight kibibytes; every answer ends its connection.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tracing::debug;

use crate::metrics::CONTENT_TYPE;

/// Longest that one request may take to arrive, and its answer to leave.
const PATIENCE: Duration = Duration::from_secs(2);
/// Most bytes of a request; Prometheus sends some hundreds.
const MAX_REQUEST: usize = 8 << 10;

/// Serves one page until it is dropped.
#[derive(Debug)]
pub struct MetricsServer {
    address: SocketAddr,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl MetricsServer {
    /// Listens on `host` and `port` (0 takes a free one) and answers with `page` whoever shows a token that `accepts`.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub fn start(
        host: &str,
        port: u16,
        accepts: impl Fn(&str) -> bool + Send + 'static,
        page: impl Fn() -> String + Send + 'static,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind((host, port))?;
        let address = listener.local_addr()?;
        let is_over = Arc::new(AtomicBool::new(false));
        let server = Server { accepts, page };
        let over = Arc::clone(&is_over);
        let thread = thread::Builder::new()
            .name("metrics".to_owned())
            .spawn(move || server.run(&listener, &over))?;
        Ok(Self {
            address,
            is_over,
            thread: Some(thread),
        })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for MetricsServer {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        // Wakes the thread, which waits for somebody to connect; if that fails the thread is left to the process's end.
        let woken = TcpStream::connect_timeout(&self.address, PATIENCE).is_ok();
        if let Some(thread) = self.thread.take()
            && woken
        {
            // A panic has been reported by the thread itself.
            let _ = thread.join();
        }
    }
}

struct Server<A, P> {
    accepts: A,
    page: P,
}

/// Status line, further headers, and body.
type Answer = (&'static str, String, String);

impl<A: Fn(&str) -> bool, P: Fn() -> String> Server<A, P> {
    fn run(&self, listener: &TcpListener, is_over: &AtomicBool) {
        for connection in listener.incoming() {
            if is_over.load(Ordering::Relaxed) {
                return;
            }
            if let Err(error) = connection.and_then(|connection| self.serve(connection)) {
                debug!(%error, "a scrape was not answered");
                // Out of sockets, perhaps: not to be asked again at once.
                thread::sleep(Duration::from_millis(10));
            }
        }
    }

    fn serve(&self, mut connection: TcpStream) -> io::Result<()> {
        connection.set_write_timeout(Some(PATIENCE))?;
        let request = read_head(&mut connection)?;
        let (status, headers, body) = self.answer(&request);
        let head = format!(
            "HTTP/1.1 {status}\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        );
        connection.write_all(head.as_bytes())?;
        connection.write_all(body.as_bytes())
    }

    fn answer(&self, request: &str) -> Answer {
        let plain = |status, extra: &str, body: &str| {
            let headers = format!("content-type: text/plain; charset=utf-8\r\n{extra}");
            (status, headers, format!("{body}\n"))
        };
        let mut lines = request.split("\r\n");
        let mut words = lines.next().unwrap_or_default().split(' ');
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        if target.split('?').next() != Some("/metrics") {
            return plain("404 Not Found", "", "here is nothing but /metrics");
        }
        if method != "GET" {
            return plain("405 Method Not Allowed", "allow: GET\r\n", "ask with GET");
        }
        let token = lines.filter_map(|line| line.split_once(':')).find_map(bearer);
        if !token.is_some_and(|token| (self.accepts)(token)) {
            return plain(
                "401 Unauthorized",
                "www-authenticate: Bearer\r\n",
                "show metrics.token as `Authorization: Bearer …`",
            );
        }
        let headers = format!("content-type: {CONTENT_TYPE}\r\n");
        ("200 OK", headers, (self.page)())
    }
}

/// The token in a header, if it is the one for that.
fn bearer<'a>((name, value): (&str, &'a str)) -> Option<&'a str> {
    let (scheme, token) = value.trim().split_once(' ')?;
    let is_meant = name.eq_ignore_ascii_case("authorization") && scheme.eq_ignore_ascii_case("bearer");
    is_meant.then(|| token.trim())
}

/// The request's head. What comes after it is not read.
fn read_head(connection: &mut TcpStream) -> io::Result<String> {
    let deadline = Instant::now() + PATIENCE;
    let mut head = Vec::new();
    let mut piece = [0; 1024];
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || head.len() >= MAX_REQUEST {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        connection.set_read_timeout(Some(left))?;
        match connection.read(&mut piece)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => head.extend_from_slice(&piece[..read]),
        }
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
mod tests {
    use super::*;

    fn server() -> MetricsServer {
        let page = || "a 1\n# EOF\n".to_owned();
        MetricsServer::start("127.0.0.1", 0, |token| token == "s3cret", page).unwrap()
    }

    /// What the server answers to these bytes.
    fn ask(server: &MetricsServer, request: &str) -> String {
        let mut connection = TcpStream::connect(server.address()).unwrap();
        connection.set_read_timeout(Some(4 * PATIENCE)).unwrap();
        connection.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        answer
    }

    const TOKEN: &str = "authorization: bearer s3cret\r\n";

    #[test]
    fn the_page_is_shown_to_who_has_the_token() {
        let server = server();
        let answer = ask(
            &server,
            &format!("GET /metrics HTTP/1.1\r\nhost: a\r\n{TOKEN}\r\n"),
        );
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.contains("content-length: 10\r\n"), "{answer}");
        assert!(answer.ends_with("\r\n\r\na 1\n# EOF\n"), "{answer}");
        for request in [
            "GET /metrics HTTP/1.1\r\n\r\n",
            "GET /metrics HTTP/1.1\r\nauthorization: Bearer wrong\r\n\r\n",
            "GET /metrics HTTP/1.1\r\nx-authorization: Bearer s3cret\r\n\r\n",
        ] {
            let answer = ask(&server, request);
            assert!(answer.starts_with("HTTP/1.1 401 "), "{request}: {answer}");
            assert!(!answer.contains("a 1"), "{answer}");
        }
    }

    #[test]
    fn there_is_nothing_else() {
        let server = server();
        let other = ask(&server, &format!("GET / HTTP/1.1\r\n{TOKEN}\r\n"));
        assert!(other.starts_with("HTTP/1.1 404 "), "{other}");
        let post = ask(&server, &format!("POST /metrics HTTP/1.1\r\n{TOKEN}\r\n"));
        assert!(post.starts_with("HTTP/1.1 405 "), "{post}");
    }

    #[test]
    fn who_says_nothing_or_too_much_does_not_keep_others_out() {
        let server = server();
        let silent = TcpStream::connect(server.address()).unwrap();
        let mut endless = TcpStream::connect(server.address()).unwrap();
        let long = vec![b'a'; 4 * MAX_REQUEST];
        // The server may hang up before it has all.
        let _ = endless.write_all(&long);
        let answer = ask(&server, &format!("GET /metrics HTTP/1.1\r\n{TOKEN}\r\n"));
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        drop(silent);
    }

    #[test]
    fn its_port_is_free_when_it_is_over() {
        let first = server();
        let address = first.address();
        drop(first);
        assert!(TcpStream::connect(address).is_err());
    }
}
