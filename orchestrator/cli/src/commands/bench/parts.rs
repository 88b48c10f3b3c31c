//! The processes that a measurement starts beside servers and orchestrators: this program once more.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};

use clap::Subcommand;
use mesh_agents::{Agent, Output};

use super::workload::CAPABILITY;
use crate::connection::Connection;
use crate::exit::Outcome;

/// What a collector of telemetry says to everything.
const TAKEN: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n";

/// A part of a measurement
#[derive(Subcommand)]
pub(crate) enum BenchPart {
    /// An agent that gives back what it is given
    Agent {
        /// Tasks at once
        #[arg(long)]
        tasks: usize,
        /// Where it tells metrics
        #[arg(long = "at")]
        endpoint: Option<SocketAddr>,
    },
    /// Takes telemetry by OTLP over HTTP, and throws it away
    Collector {
        /// Where it listens
        address: SocketAddr,
    },
}

impl BenchPart {
    pub(crate) async fn run(self, connection: &Connection) -> anyhow::Result<Outcome> {
        match self {
            Self::Agent { tasks, endpoint } => agent(connection, tasks, endpoint).await,
            Self::Collector { address } => collect(TcpListener::bind(address)?),
        }
    }
}

async fn agent(
    connection: &Connection,
    tasks: usize,
    endpoint: Option<SocketAddr>,
) -> anyhow::Result<Outcome> {
    let mut agent = Agent::builder(CAPABILITY).capacity(tasks).connect(connection.options()?);
    if let Some(endpoint) = endpoint {
        agent = agent.observe(endpoint);
    }
    agent.raw_capability(CAPABILITY, |_, task| async { Ok(Output::new(task.input)) }).run().await?;
    Ok(Outcome::Done)
}

fn collect(listener: TcpListener) -> anyhow::Result<Outcome> {
    // A few connections, each of which is kept: a thread for each is least of all work.
    for connection in listener.incoming() {
        let connection = connection?;
        std::thread::spawn(move || {
            if let Err(error) = take(connection) {
                eprintln!("collector: {error}");
            }
        });
    }
    Ok(Outcome::Done)
}

/// Takes requests from a connection until the other side closes it.
fn take(mut connection: TcpStream) -> io::Result<()> {
    let mut reader = BufReader::new(connection.try_clone()?);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            match line.trim_end().split_once(':') {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.trim().parse().map_err(io::Error::other)?;
                }
                _ if line.trim_end().is_empty() => break,
                _ => {}
            }
        }
        io::copy(&mut reader.by_ref().take(length), &mut io::sink())?;
        connection.write_all(TAKEN)?;
    }
}
