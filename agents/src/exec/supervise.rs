//! One process from its start to the end of the last of its group.

use std::convert::Infallible;
use std::process::ExitStatus;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::FusedFuture;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use super::exit;
use super::group::Group;
use super::stderr::{Tail, relay};
use crate::failure::TaskFailure;
use crate::handler::Output;
use crate::runner;

/// What a group that was asked to end gets before it is killed. Together with twice [`LINGER`] it is less than the
/// time that a cancelled handler gets, and than what is left of the 30 seconds that supervisors commonly give an
/// agent to stop.
const GRACE: Duration = Duration::from_secs(2);
/// How long after the program's end its stdout and stderr may stay open: somebody else in the group has them.
const LINGER: Duration = Duration::from_millis(500);

/// More was written to stdout than is taken.
struct TooLarge;

/// Why a program is waited for no longer.
enum End {
    Exited(std::io::Result<ExitStatus>),
    TooLarge,
    Stopped,
}

/// Runs a command whose stdin, stdout and stderr are pipes, until it has ended or `stop` is cancelled. Nothing of
/// its group is left afterwards.
pub(super) async fn run(
    mut command: Command,
    input: Vec<u8>,
    limit: usize,
    stop: CancellationToken,
    mut log: impl FnMut(&str),
) -> Result<Output, TaskFailure> {
    let mut group = Group::start(&mut command).map_err(|error| unavailable(&error))?;
    let program = group.program();
    let (Some(mut stdin), Some(stdout), Some(stderr)) =
        (program.stdin.take(), program.stdout.take(), program.stderr.take())
    else {
        return Err(unavailable(&"its stdin, stdout and stderr are not pipes"));
    };
    let mut output = Vec::new();
    let mut tail = Tail::default();
    let end = {
        let feed = async move {
            // An error means that the program does not want to read it all, which is its own affair.
            let _ = stdin.write_all(&input).await;
            drop(stdin);
            std::future::pending::<Infallible>().await
        };
        let listen = async {
            let (captured, ()) =
                tokio::join!(capture(stdout, limit, &mut output), relay(stderr, &mut tail, &mut log));
            captured
        };
        let talk = async {
            tokio::select! {
                captured = listen => captured,
                never = feed => match never {},
            }
        };
        see_through(&mut group, std::pin::pin!(talk.fuse()), &stop).await
    };
    let stderr = tail.finish(log);
    match end {
        End::Stopped => Err(runner::cancelled()),
        End::TooLarge => Err(runner::too_large(limit)),
        End::Exited(Err(error)) => Err(unavailable(&error)),
        End::Exited(Ok(_)) if output.len() > limit => Err(runner::too_large(limit)),
        End::Exited(Ok(status)) => match exit::failure(status, stderr) {
            Some(failure) => Err(failure),
            None => runner::read_output(&output),
        },
    }
}

/// Waits for the end, or brings it about, and clears up.
async fn see_through<T>(group: &mut Group, mut talk: std::pin::Pin<&mut T>, stop: &CancellationToken) -> End
where
    T: FusedFuture<Output = Result<(), TooLarge>>,
{
    let end = tokio::select! {
        biased;
        () = stop.cancelled() => End::Stopped,
        status = group.ended() => End::Exited(status),
        Err(TooLarge) = &mut talk, if !talk.is_terminated() => End::TooLarge,
    };
    if matches!(end, End::Stopped) {
        group.terminate();
        let last_words = async {
            tokio::select! {
                _ = group.ended() => {}
                Err(TooLarge) = &mut talk, if !talk.is_terminated() => {}
            }
        };
        let _ = tokio::time::timeout(GRACE, last_words).await;
    } else if matches!(end, End::Exited(_)) {
        hear_out(talk.as_mut()).await;
    }
    group.kill().await;
    hear_out(talk).await;
    end
}

/// Reads what is still in the pipes. They end with the last of the group, unless somebody left it and took them along.
async fn hear_out<T: FusedFuture>(talk: std::pin::Pin<&mut T>) {
    if !talk.is_terminated() {
        let _ = tokio::time::timeout(LINGER, talk).await;
    }
}

/// Reads to the end or, to see that it is too much, one byte over the limit.
async fn capture(stdout: impl AsyncRead + Unpin, limit: usize, output: &mut Vec<u8>) -> Result<(), TooLarge> {
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    let mut stdout = stdout.take(most);
    // What was read before an error stands; a pipe that cannot be read has nothing more to give.
    while let Ok(1..) = stdout.read_buf(output).await {}
    if output.len() > limit { Err(TooLarge) } else { Ok(()) }
}

pub(super) fn unavailable(error: &dyn std::fmt::Display) -> TaskFailure {
    TaskFailure::retryable(
        mesh_schemas::payload::code::PROGRAM_UNAVAILABLE,
        format!("the program cannot be started: {error}"),
    )
}
