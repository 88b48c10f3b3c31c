use std::error::Error as _;
use std::time::Duration;

use async_nats::{Client, ConnectErrorKind, Event, ServerAddr};
use percent_encoding::percent_decode_str;
use tokio::sync::{OnceCell, watch};

use super::api::{Api, Link, Troubles};
use super::bus::NatsBus;
use super::options::{Auth, ConnectOptions};
use crate::clock::BootInstant;
use crate::error::BusError;
use crate::seldom::Seldom;

/// How the server begins to say that a user may not publish on a subject, which it then names in quotes.
const PUBLISH_DENIED: &str = "Permissions Violation for Publish to \"";
/// Lines about that.
static DENIED: Seldom = Seldom::new();
/// How long a server may take to greet.
const GREETING: Duration = Duration::from_secs(5);
/// How often to see whether the server is still there; two pings without an answer are a lost connection.
const PING: Duration = Duration::from_secs(10);
/// Longest pause between two tries to connect again: short, as every run waits meanwhile.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// Room for the headers of an event, in bytes, in what a server takes as a message.
const HEADERS: usize = 4 * 1024;
/// The first server version with recurring schedules, as major and minor.
pub const NEEDED: (u64, u64) = (2, 14);

impl NatsBus {
    /// Connects to the first server that answers. Fails at once if none does; a connection that is lost later is
    /// made again, for as long as it takes.
    ///
    /// # Errors
    /// [`BusError::Connect`] if there is no server, it refuses us, or a file cannot be read;
    /// [`BusError::Unsuitable`] if the server is too old or has no JetStream.
    pub async fn connect(mut options: ConnectOptions) -> Result<Self, BusError> {
        let url = options.urls.iter().map(|url| without_secret(url)).collect::<Vec<_>>().join(",");
        let error = |error: String| BusError::Connect { url: url.clone(), error };
        let servers: Vec<ServerAddr> =
            options
                .urls
                .iter()
                .map(|url| url.parse())
                .collect::<Result<_, _>>()
                .map_err(|e: std::io::Error| BusError::Address { url: url.clone(), error: e.to_string() })?;
        if servers.iter().any(|server: &ServerAddr| server.host().is_empty()) {
            return Err(BusError::Address { url, error: "it names no host".to_owned() });
        }
        if let Auth::None = options.auth {
            options.auth = servers.iter().find_map(auth_in).unwrap_or_default();
        }
        let (sender, link) = watch::channel(Link::default());
        let troubles = Troubles::default();
        let client = client_options(&options, sender, troubles.clone())
            .await
            .map_err(|e| error(e.to_string()))?
            .connect(servers)
            .await
            .map_err(|e| match e.kind() {
                ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
                    BusError::Denied { url: url.clone(), error: e.to_string() }
                }
                ConnectErrorKind::Tls => BusError::Tls { url: url.clone(), error: e.to_string() },
                _ if is_about_tls(&e) => BusError::Tls { url: url.clone(), error: e.to_string() },
                _ => error(e.to_string()),
            })?;
        check_server(&client)?;
        let max_inline = options.max_inline.min(client.server_info().max_payload.saturating_sub(HEADERS));
        Ok(Self {
            api: Api::new(client, link, troubles),
            namespace: options.namespace,
            max_inline,
            shards: OnceCell::new(),
        })
    }
}

/// Whether an error that the client takes for one of input and output was one of TLS.
fn is_about_tls(error: &async_nats::ConnectError) -> bool {
    let io = error.source().and_then(|source| source.downcast_ref::<std::io::Error>());
    io.and_then(|io| io.get_ref()).is_some_and(|inner| inner.is::<async_nats::rustls::Error>())
}

/// The user and password, or the token, in an address: the client passes them over.
fn auth_in(server: &ServerAddr) -> Option<Auth> {
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let user = decoded(server.username()?);
    Some(match server.password() {
        Some(password) => Auth::UserPassword { user, password: decoded(password) },
        None => Auth::Token(user),
    })
}

/// An address without the password or token that may stand in it.
fn without_secret(url: &str) -> String {
    match (url.find("://"), url.rfind('@')) {
        (Some(scheme), Some(at)) if scheme + 3 < at => format!("{}***{}", &url[..scheme + 3], &url[at..]),
        (None, Some(at)) => format!("***{}", &url[at..]),
        _ => url.to_owned(),
    }
}

async fn client_options(
    options: &ConnectOptions,
    link: watch::Sender<Link>,
    troubles: Troubles,
) -> std::io::Result<async_nats::ConnectOptions> {
    let client = async_nats::ConnectOptions::new()
        .name(&options.name)
        .connection_timeout(GREETING)
        .ping_interval(PING)
        .max_reconnects(None)
        .reconnect_delay_callback(pause)
        .require_tls(options.require_tls)
        .event_callback(move |event| {
            note(&link, &event);
            troubles.lost(link.borrow().losses);
            if let Some(subject) = denied(&event) {
                troubles.denied(subject);
            }
            std::future::ready(())
        });
    let client = if options.tls_first { client.tls_first() } else { client };
    let client = match &options.inbox_prefix {
        Some(prefix) => client.custom_inbox_prefix(prefix),
        None => client,
    };
    let client = match &options.ca {
        Some(ca) => client.add_root_certificates(ca.clone()),
        None => client,
    };
    let client = match &options.client_certificate {
        Some((certificate, key)) => client.add_client_certificate(certificate.clone(), key.clone()),
        None => client,
    };
    Ok(match &options.auth {
        Auth::None => client,
        Auth::UserPassword { user, password } => client.user_and_password(user.clone(), password.clone()),
        Auth::Token(token) => client.token(token.clone()),
        Auth::NkeySeed(seed) => client.nkey(seed.clone()),
        Auth::CredentialsFile(path) => client.credentials_file(path).await?,
    })
}

/// The first try is made at once, each further one after twice the pause of the one before.
fn pause(attempt: usize) -> Duration {
    let doublings = u32::try_from(attempt.saturating_sub(2)).unwrap_or(u32::MAX).min(10);
    if attempt <= 1 {
        Duration::ZERO
    } else {
        LONGEST_PAUSE.min(Duration::from_millis(10) * 2_u32.pow(doublings))
    }
}

/// Logs a lost and a regained connection once each, and wakes those who wait for one.
fn note(link: &watch::Sender<Link>, event: &Event) {
    match event {
        Event::Connected => {
            let again = link.send_if_modified(|link| {
                let again = link.losses > link.returns;
                if again {
                    link.returns = link.losses;
                }
                again
            });
            if again {
                tracing::info!("connected to NATS again");
            }
        }
        Event::Disconnected => {
            let lost = link.send_if_modified(|link| {
                let lost = link.losses == link.returns;
                if lost {
                    link.losses += 1;
                    link.lost = Some(BootInstant::now());
                }
                lost
            });
            if lost {
                tracing::warn!("connection to NATS lost, connecting again");
            }
        }
        // One for each message, and who waits for an answer tells of it, too.
        Event::ServerError(error) if denied(event).is_some() => {
            if DENIED.may_say() {
                tracing::warn!(%error, "NATS reports an error");
            }
        }
        Event::ServerError(error) => tracing::warn!(%error, "NATS reports an error"),
        Event::SlowConsumer(subscription) => {
            tracing::warn!(
                subscription,
                "messages of a subscription are dropped: it is not read fast enough"
            );
        }
        Event::LameDuckMode => tracing::info!("the NATS server is about to stop"),
        Event::ClientError(error) => tracing::debug!(%error, "NATS client"),
        Event::Draining | Event::Closed => {}
    }
}

/// The subject that an event says this user may not publish on.
fn denied(event: &Event) -> Option<&str> {
    let Event::ServerError(async_nats::ServerError::Other(said)) = event else { return None };
    said.strip_prefix(PUBLISH_DENIED)?.split('"').next()
}

fn check_server(client: &Client) -> Result<(), BusError> {
    let info = client.server_info();
    check_version(&info.version).map_err(BusError::Unsuitable)?;
    if info.jetstream {
        Ok(())
    } else {
        Err(BusError::Unsuitable(
            "the NATS server runs without JetStream: start it with `nats-server --jetstream`, or with a `jetstream` \
             block in its configuration"
                .to_owned(),
        ))
    }
}

/// Whether a server of this version, such as `2.15.1`, can carry the mesh. What is no version is not new enough.
#[must_use]
pub fn is_new_enough(version: &str) -> bool {
    let mut numbers = version.split('.').map(|part| part.parse::<u64>());
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) >= NEEDED,
        _ => false,
    }
}

fn check_version(version: &str) -> Result<(), String> {
    if is_new_enough(version) {
        return Ok(());
    }
    let (major, minor) = NEEDED;
    Err(format!(
        "the NATS server is version {version:?}, but the mesh needs {major}.{minor} or later: install a current \
         nats-server (https://github.com/nats-io/nats-server/releases), or let `mesh up` start its own"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_servers_are_refused_with_what_to_do() {
        for version in ["2.14.0", "2.15.1", "2.15.0-dev", "2.14.0-RC.1", "3.0.0"] {
            assert_eq!(check_version(version), Ok(()), "{version}");
        }
        for version in ["2.13.9", "2.9.10", "1.99.0", "", "garbage"] {
            let error = check_version(version).expect_err(version);
            assert!(
                error.contains(version) && error.contains("2.14") && error.contains("install"),
                "{error}"
            );
        }
    }

    #[test]
    fn addresses_may_say_who_we_are() {
        let auth = |url: &str| url.parse().ok().as_ref().and_then(auth_in);
        assert!(
            matches!(auth("nats://me:a%40b@h"), Some(Auth::UserPassword { user, password }) if user == "me" && password == "a@b")
        );
        assert!(matches!(auth("nats://t0ken@h:4222"), Some(Auth::Token(token)) if token == "t0ken"));
        assert!(auth("nats://h:4222").is_none());
    }

    #[test]
    fn secrets_in_addresses_are_not_shown() {
        assert_eq!(without_secret("nats://me:hunter2@a:4222"), "nats://***@a:4222");
        assert_eq!(without_secret("hunter2@a:4222"), "***@a:4222");
        assert_eq!(without_secret("nats://a:4222"), "nats://a:4222");
    }

    #[test]
    fn tries_to_connect_come_soon_and_then_every_second() {
        assert_eq!(pause(1), Duration::ZERO);
        assert_eq!(pause(2), Duration::from_millis(10));
        assert_eq!(pause(3), Duration::from_millis(20));
        assert_eq!(pause(1_000_000), LONGEST_PAUSE);
    }

    #[test]
    fn a_subject_that_is_denied_is_read_from_what_the_server_says() {
        let event = |said: &str| Event::ServerError(async_nats::ServerError::Other(said.to_owned()));
        assert_eq!(denied(&event("Permissions Violation for Publish to \"a.b\"")), Some("a.b"));
        assert_eq!(denied(&event("Permissions Violation for Subscription to \"a.b\"")), None);
        assert_eq!(denied(&Event::Connected), None);
    }

    #[test]
    fn each_loss_and_return_is_counted_once() {
        let (sender, link) = watch::channel(Link::default());
        let counted = || (link.borrow().losses, link.borrow().returns);
        note(&sender, &Event::Connected);
        assert_eq!(counted(), (0, 0));
        note(&sender, &Event::Disconnected);
        note(&sender, &Event::Disconnected);
        assert_eq!(counted(), (1, 0));
        note(&sender, &Event::Connected);
        assert_eq!(counted(), (1, 1));
    }
}
