//! What a failure can cost, at worst, in one line.

use crate::words::count;

/// How often written data is forced onto the disks.
pub(crate) enum Disk {
    /// Before each write is confirmed.
    Always,
    /// After this time, as a server's configuration says it.
    Every(String),
    /// A client cannot see it.
    Unseen,
}

/// What may be lost with so many copies of everything.
pub(crate) fn loss(copies: usize, disk: &Disk) -> String {
    let power = match disk {
        Disk::Always => "loses nothing, as each write is forced onto the disk".to_owned(),
        Disk::Every(interval) => format!("may lose what came in since the last sync (every {interval})"),
        Disk::Unseen => {
            "may lose the last two minutes, unless the server has `sync_interval: always`".to_owned()
        }
    };
    if copies < 3 {
        return format!(
            "one copy of everything: kill -9 loses nothing, a power failure {power}, and the loss of the disk loses all"
        );
    }
    let spare = (copies - 1) / 2;
    let holds = if spare == 1 { "it holds" } else { "they hold" };
    format!(
        "{copies} copies of everything: {} may be lost at once with all {holds}; a power failure of all of them at once {power}",
        count(spare as u64, "server")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_set_up_has_a_line_of_its_own() {
        let line = |copies, disk| loss(copies, &disk);
        assert_eq!(
            line(1, Disk::Every("2m".to_owned())),
            "one copy of everything: kill -9 loses nothing, a power failure may lose what came in since the last sync \
             (every 2m), and the loss of the disk loses all"
        );
        assert_eq!(
            line(1, Disk::Always),
            "one copy of everything: kill -9 loses nothing, a power failure loses nothing, as each write is forced onto \
             the disk, and the loss of the disk loses all"
        );
        assert_eq!(
            line(3, Disk::Unseen),
            "3 copies of everything: 1 server may be lost at once with all it holds; a power failure of all of them at \
             once may lose the last two minutes, unless the server has `sync_interval: always`"
        );
        assert!(line(5, Disk::Always).starts_with("5 copies of everything: 2 servers may be lost"));
        assert!(
            line(5, Disk::Always).ends_with("at once loses nothing, as each write is forced onto the disk")
        );
    }
}
