use mesh_schemas::ErrorCode;

/// Why a message was not, or may not have been, stored.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PublishError {
    /// Not now: the connection is down, the server did not answer in time, the subject is being written, or the
    /// stream is full. Try again later; until then it is not known whether the message was stored.
    #[error("not stored yet ({0}); trying again is safe")]
    Retry(String),
    /// The message is larger than the server takes. Trying again cannot help.
    #[error("the message is too large: {0}")]
    TooLarge(String),
    /// No stream takes the subject, or the account may not publish on it. Trying again does not help until
    /// somebody changes the set-up.
    #[error("the message cannot be stored: {0}")]
    Refused(String),
}

impl PublishError {
    /// What kind of error it is.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Retry(_) => ErrorCode::NotStored,
            Self::TooLarge(_) => ErrorCode::OversizedInput,
            Self::Refused(_) => ErrorCode::Refused,
        }
    }

    /// Whether trying again can help without anybody changing anything.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Retry(_))
    }
}

/// Why an operation on the bus failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BusError {
    /// No server could be reached.
    #[error(
        "cannot connect to NATS at {url}: {error}. Is a server running there? `mesh up` starts one; MESH_NATS_URL or \
         --nats-url names another"
    )]
    Connect {
        /// Where.
        url: String,
        /// What the client said.
        error: String,
    },
    /// An address cannot be one.
    #[error("{url} is no address of a NATS server: {error}. Write nats://HOST:PORT, or tls://HOST:PORT")]
    Address {
        /// The address.
        url: String,
        /// What is wrong with it.
        error: String,
    },
    /// The server does not believe who we are.
    #[error(
        "NATS at {url} lets nobody in who does not prove who they are, or not with this proof: {error}. Give user and \
         password, a token, an nkey, a credentials file or a client certificate (see `mesh --help`)"
    )]
    Denied {
        /// Where.
        url: String,
        /// What the client said.
        error: String,
    },
    /// No encrypted connection could be made.
    #[error(
        "no TLS connection to NATS at {url}: {error}. If the server's certificate is your own, name its authority with \
         MESH_NATS_CA; if it speaks no TLS, write nats:// instead of tls://"
    )]
    Tls {
        /// Where.
        url: String,
        /// What the client said.
        error: String,
    },
    /// The server is too old, or lacks JetStream.
    #[error("{0}")]
    Unsuitable(String),
    /// A stream, consumer or bucket is there and differs in a way that cannot be mended.
    #[error("{what} exists with other settings: {difference}. {mend}")]
    Conflict {
        /// What it is.
        what: String,
        /// How it differs.
        difference: String,
        /// What to do.
        mend: String,
    },
    /// The namespace has no streams yet.
    #[error(
        "the namespace {0:?} is not set up on this server: start an orchestrator for it (`mesh up`, `mesh orchestrator`)"
    )]
    NotSetUp(String),
    /// The connection is down or the server did not answer in time. Try again.
    #[error("{operation}: {error}")]
    Unavailable {
        /// What was tried.
        operation: String,
        /// What the client said.
        error: String,
    },
    /// The server does not do it, and would not the next time.
    #[error("{operation} was refused: {error}")]
    Refused {
        /// What was tried.
        operation: String,
        /// What the server or the client said.
        error: String,
    },
    /// An object is not there where it must be, or not the content that its name promises. Trying again does not help.
    #[error("object {name} is missing or damaged: {error}")]
    Damaged {
        /// Its name.
        name: String,
        /// What is wrong with it.
        error: String,
    },
}

impl BusError {
    /// What kind of error it is.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Connect { .. } => ErrorCode::Unreachable,
            Self::Address { .. } => ErrorCode::BadAddress,
            Self::Denied { .. } => ErrorCode::Denied,
            Self::Tls { .. } => ErrorCode::NoTls,
            Self::Unsuitable(_) => ErrorCode::UnsuitableServer,
            Self::Conflict { .. } => ErrorCode::Conflict,
            Self::NotSetUp(_) => ErrorCode::NotSetUp,
            Self::Unavailable { .. } => ErrorCode::Unavailable,
            Self::Refused { .. } => ErrorCode::Refused,
            Self::Damaged { .. } => ErrorCode::LostObject,
        }
    }

    /// Whether trying again can help without anybody changing anything.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Connect { .. })
    }
}
