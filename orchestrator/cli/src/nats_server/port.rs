//! The port that a server is to listen on.

use std::io::{self, Read as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use anyhow::Context as _;
use mesh_schemas::ErrorCode;

use crate::failure::Failure;

/// How long whoever listens there may take to greet: a NATS server does so at once.
const GREETING: Duration = Duration::from_millis(500);

/// A port of this machine that is free; any for 0.
pub(super) fn free(port: u16) -> anyhow::Result<u16> {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        Ok(listener) => Ok(listener.local_addr().context("choosing a port")?.port()),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(taken(port)),
        Err(error) => Err(error).with_context(|| {
            let message = format!(
                "cannot listen on port {port} of 127.0.0.1; choose another with --port, or any with --port 0"
            );
            Failure::new(ErrorCode::PortTaken, message)
        }),
    }
}

fn taken(port: u16) -> anyhow::Error {
    let other = "choose another port with --port, or any with --port 0";
    let message = if is_nats(port) {
        format!(
            "port {port} of 127.0.0.1 is taken by a NATS server: to use that one, run `mesh orchestrator --nats-url \
             nats://127.0.0.1:{port}`; else {other}"
        )
    } else {
        format!("port {port} of 127.0.0.1 is taken, and not by a NATS server: {other}")
    };
    Failure::new(ErrorCode::PortTaken, message).into()
}

/// Whether a NATS server listens there: it speaks first, and begins with INFO.
fn is_nats(port: u16) -> bool {
    let greeting = || -> io::Result<[u8; 5]> {
        let mut stream =
            TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)), GREETING)?;
        stream.set_read_timeout(Some(GREETING))?;
        let mut greeting = [0; 5];
        stream.read_exact(&mut greeting)?;
        Ok(greeting)
    };
    greeting().is_ok_and(|greeting| &greeting == b"INFO ")
}
