use super::bar::{Stretch, WAIT, WORK, draw};
use super::*;
use crate::commands::trace::story::tests::{Events, at, completed};

const PIPE: Terminal = Terminal { is_there: false, has_colours: false, columns: 100, lines: 24 };

#[test]
fn a_run_is_a_tree_of_tasks_and_their_attempts() {
    let story = completed().story(9_999);
    let lines = lines(&story, at(9_999), 0, PIPE);
    let told: Vec<&str> = lines.iter().map(String::as_str).collect();
    assert_eq!(told[0], "3.2c0b6e5e-6d1f-5f43-9d0e-6f2a3b0c9a11  order  completed in 1s 420ms");
    assert_eq!(
        told[2],
        "critical path  1s 420ms: work 670ms (47%), waiting for agents 499ms (35%), pauses before retries 200ms (14%), \
         the mesh itself 51ms (4%)"
    );
    assert_eq!(told[3], "               slow 1s → load 400ms");
    assert_eq!(
        told[5..11],
        [
            "  TASK    WAIT   WORK   TOOK                                            HOW",
            "  fetch   10ms   80ms   90ms  ██······································  completed by worker-1",
            "* slow   489ms  500ms  989ms  ░░░░░░░░░░░░░░██████████████············  completed by worker-1",
            "* load                 390ms  ····························██──────███·  completed after 2 attempts",
            "* ├ #1    10ms   80ms   90ms  ····························██──────····  failed by worker-1: flaky: it broke; again after 200ms",
            "* └ #2      0s   90ms   90ms  ····································███·  completed by worker-1",
        ],
        "{}",
        lines.join("\n")
    );
}

#[test]
fn items_stand_in_their_order_below_their_task() {
    let mut events = Events::new();
    let begin = events.begin();
    for number in [10, 9, 0] {
        events.created(10, &format!("each:{number}:lint"), 1, &begin);
    }
    events.created(5, "first", 1, &begin);
    let story = events.story(100);
    let lines = lines(&story, at(100), 0, PIPE);
    let names: Vec<String> = lines[7..]
        .iter()
        .take(8)
        .map(|line| line.chars().skip(2).take(9).collect::<String>().trim_end().to_owned())
        .collect();
    assert_eq!(
        names,
        ["first", "each", "├ 0", "│ └ lint", "├ 9", "│ └ lint", "└ 10", "  └ lint"],
        "{}",
        lines.join("\n")
    );
}

#[test]
fn too_many_tasks_are_left_out_and_those_that_matter_are_not() {
    let mut events = Events::new();
    let begin = events.begin();
    for number in 0..100 {
        events.created(10, &format!("each:{number}"), 1, &begin);
        events.completed(20, &format!("each:{number}"), 1);
    }
    events.created(30, "open", 1, &begin);
    let lines = lines(&events.story(100), at(100), 10, PIPE);
    let text = lines.join("\n");
    assert!(text.contains("  open ") || text.contains("* open "), "{text}");
    assert!(text.contains("… and 91 more tasks: `--limit 0` shows all"), "{text}");
    assert_eq!(
        lines.last().map(String::as_str),
        Some("→ task 'open': waiting 70ms for an agent with capability 'work'")
    );
}

#[test]
fn on_a_terminal_lines_are_no_longer_than_it_is_wide() {
    let story = completed().story(9_999);
    let terminal = Terminal { is_there: true, has_colours: false, columns: 80, lines: 24 };
    for line in lines(&story, at(9_999), 0, terminal).iter().skip(5) {
        assert!(line.chars().count() <= 80, "{line}");
    }
}

#[test]
fn every_stretch_of_time_is_seen() {
    let stretch = |from, to, mark| Stretch { from: at(from), to: at(to), mark };
    let stretches = [stretch(0, 50, WAIT), stretch(50, 51, WORK), stretch(99, 100, WORK)];
    assert_eq!(draw(&stretches, at(0), at(100), 10), "░░░░░█···█");
    assert_eq!(draw(&[stretch(100, 100, WORK)], at(0), at(100), 10), "·········█");
    assert_eq!(draw(&[stretch(0, 0, WORK)], at(0), at(0), 3), "█··");
}
