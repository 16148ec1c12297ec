//! HTTP on a port of the loopback interface.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, anyhow};
use tiny_http::{Header, Response, StatusCode};

use crate::site::{Request, Site};

/// A client that does not take its answer holds up one of them.
const THREADS: usize = 4;
/// How long a thread waits for a request before it looks whether it should stop.
const WAIT: Duration = Duration::from_millis(200);

/// Pages may load from where they come from and nowhere else, and may not be framed or read by others.
const HEADERS: [(&str, &str); 6] = [
    (
        "Content-Security-Policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'",
    ),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cache-Control", "no-store"),
];

/// A server that has its port.
pub struct Server {
    http: tiny_http::Server,
    address: SocketAddr,
    site: Mutex<Site>,
}

impl Server {
    /// Looks at `folder` and takes `port` of 127.0.0.1; 0 for any that is free.
    ///
    /// # Errors
    /// The folder holds neither a run nor a study; the port is taken.
    pub fn bind(folder: &Path, port: u16) -> Result<Server> {
        let site = Mutex::new(Site::of(folder)?);
        let http = tiny_http::Server::http((Ipv4Addr::LOCALHOST, port)).map_err(|error| {
            anyhow!("port {port} of 127.0.0.1 cannot be used: {error}; choose another with --port, 0 for any that is free")
        })?;
        let address = http.server_addr().to_ip().expect("an address of IPv4 was bound");
        Ok(Server { http, address, site })
    }

    /// 127.0.0.1 and the port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `stop` is raised.
    pub fn serve(&self, stop: &AtomicBool) {
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    while !stop.load(Ordering::SeqCst) {
                        if let Ok(Some(request)) = self.http.recv_timeout(WAIT) {
                            self.respond(request);
                        }
                    }
                });
            }
        });
    }

    fn respond(&self, request: tiny_http::Request) {
        let host = request.headers().iter().find(|header| header.field.equiv("Host"));
        let answer = {
            // Whatever a panic left is read anew.
            let mut site = self.site.lock().unwrap_or_else(PoisonError::into_inner);
            site.answer(Request {
                method: request.method().as_str(),
                target: request.url(),
                host: host.map(|header| header.value.as_str()),
            })
        };
        let mut response = Response::from_data(answer.body).with_status_code(StatusCode(answer.status));
        let allow = (answer.status == 405).then_some(("Allow", "GET, HEAD"));
        for (name, value) in HEADERS.into_iter().chain([("Content-Type", answer.content_type)]).chain(allow) {
            let header = Header::from_bytes(name, value).expect("these are headers");
            response.add_header(header);
        }
        // Whoever left does not wait for an answer.
        let _ = request.respond(response);
    }
}
