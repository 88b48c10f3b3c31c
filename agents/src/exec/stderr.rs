//! What the program says on stderr: every line to the log, the last ones kept.

use std::collections::VecDeque;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};

/// How many lines are kept for the error message.
const LINES: usize = 20;
/// How many bytes of them.
const BYTES: usize = 4096;
/// How many bytes of one of them: no line pushes all the others out.
const KEPT_LINE: usize = 1024;
/// How many bytes of a line are read and logged; the rest of it is left out.
const LINE: usize = 4096;

/// The end of what was said.
#[derive(Default)]
pub(super) struct Tail {
    lines: VecDeque<String>,
    bytes: usize,
    /// A line that has not ended yet.
    line: Vec<u8>,
    /// The rest of the line is left out.
    is_cut: bool,
}

/// Reads to the end, passing on each line when it is complete.
pub(super) async fn relay(stderr: impl AsyncRead + Unpin, tail: &mut Tail, mut log: impl FnMut(&str)) {
    let mut stderr = BufReader::new(stderr);
    // A pipe that cannot be read has nothing more to tell.
    while let Ok(chunk) = stderr.fill_buf().await {
        if chunk.is_empty() {
            break;
        }
        let length = chunk.len();
        tail.take(chunk, &mut log);
        stderr.consume(length);
    }
}

impl Tail {
    fn take(&mut self, chunk: &[u8], mut log: impl FnMut(&str)) {
        for part in chunk.split_inclusive(|byte| *byte == b'\n') {
            let text = part.strip_suffix(b"\n").unwrap_or(part);
            let room = LINE - self.line.len();
            self.line.extend_from_slice(&text[..text.len().min(room)]);
            self.is_cut |= text.len() > room;
            if part.len() > text.len() {
                self.end_line(&mut log);
            }
        }
    }

    fn end_line(&mut self, log: &mut impl FnMut(&str)) {
        let is_cut = std::mem::take(&mut self.is_cut);
        log(&text(&self.line, LINE, is_cut));
        let line = text(&self.line, KEPT_LINE, is_cut);
        self.line.clear();
        self.bytes += line.len() + 1;
        self.lines.push_back(line);
        while self.lines.len() > LINES || self.bytes > BYTES {
            self.bytes -= self.lines.pop_front().map_or(0, |line| line.len() + 1);
        }
    }

    /// The last lines, after passing on one that no newline ended.
    pub(super) fn finish(mut self, mut log: impl FnMut(&str)) -> String {
        if !self.line.is_empty() {
            self.end_line(&mut log);
        }
        Vec::from(self.lines).join("\n").trim().to_owned()
    }
}

/// A line, with a mark if it is not the whole line.
fn text(line: &[u8], most: usize, is_cut: bool) -> String {
    let line = line.trim_ascii_end();
    let mark = if is_cut || line.len() > most { "…" } else { "" };
    format!("{}{mark}", String::from_utf8_lossy(&line[..line.len().min(most)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tail(chunks: &[&[u8]]) -> (Vec<String>, String) {
        let mut logged = Vec::new();
        let mut tail = Tail::default();
        for chunk in chunks {
            tail.take(chunk, |line| logged.push(line.to_owned()));
        }
        let end = tail.finish(|line| logged.push(line.to_owned()));
        (logged, end)
    }

    #[test]
    fn lines_are_put_together() {
        let (logged, end) = tail(&[b"on", b"e\r\ntwo\n\nthr", b"ee \xff"]);
        assert_eq!(logged, ["one", "two", "", "three \u{fffd}"]);
        assert_eq!(end, "one\ntwo\n\nthree \u{fffd}");
        assert_eq!(tail(&[]).1, "");
    }

    #[test]
    fn only_the_last_lines_are_kept() {
        let text: String = (1..=100).map(|n| format!("line {n}\n")).collect();
        let (logged, end) = tail(&[text.as_bytes()]);
        assert_eq!(logged.len(), 100);
        assert_eq!(end.lines().next(), Some("line 81"));
        assert_eq!(end.lines().count(), LINES);
    }

    #[test]
    fn long_lines_are_cut() {
        let long = [b'x'; 3 * LINE];
        let (logged, end) = tail(&[b"before\n", &long, &long, b"\nafter"]);
        let lengths: Vec<_> = logged.iter().map(String::len).collect();
        assert_eq!(lengths, ["before".len(), LINE + '…'.len_utf8(), "after".len()]);
        let lengths: Vec<_> = end.lines().map(str::len).collect();
        assert_eq!(lengths, ["before".len(), KEPT_LINE + '…'.len_utf8(), "after".len()]);
        let many: Vec<u8> = [&long[..], b"\n"].concat().repeat(10);
        assert!(tail(&[&many]).1.len() <= BYTES);
    }
}
