//! A deadlock for programs: as JSON, and as a graph for Graphviz.

use std::fmt::Write as _;

use super::deadlock::{Deadlock, Hop};
use super::op::Op;

impl Deadlock {
    /// `{"hops": [{"task", "waits_for", "held_by", "taken", "op", "at", "during", "on_behalf_of", "remark"}]}`: texts,
    /// or null where there is nothing to say; places as `file:line`.
    #[must_use]
    pub fn to_json(&self) -> String {
        let hop = |hop: &Hop| {
            let fields = [
                ("task", Some(hop.task.clone())),
                ("waits_for", Some(hop.waits_for.clone())),
                ("held_by", Some(hop.held_by.clone())),
                ("taken", hop.taken.map(|taken| taken.to_string())),
                ("op", Some(hop.op.label.to_owned())),
                ("at", Some(hop.op.site().to_string())),
                ("during", hop.during.map(|during| during.label.to_owned())),
                ("on_behalf_of", hop.on_behalf_of.clone()),
                ("remark", hop.remark.clone()),
            ];
            let fields = fields.map(|(name, value)| {
                format!("{}:{}", quoted(name), value.map_or("null".into(), |value| quoted(&value)))
            });
            format!("{{{}}}", fields.join(","))
        };
        let hops: Vec<_> = self.hops().iter().map(hop).collect();
        format!("{{\"hops\":[{}]}}", hops.join(","))
    }

    /// The wait-for graph in the language of Graphviz: a node for each task, and an arrow from each to those that would
    /// have to end its wait.
    #[must_use]
    pub fn to_dot(&self) -> String {
        let mut graph = "digraph deadlock {\n  node [shape=box];\n".to_owned();
        for hop in self.hops() {
            for provider in hop.held_by.split(" or ") {
                let says = format!("waits for {}\n{} {}", hop.waits_for, hop.op.label, place(hop.op));
                let arrow = format!("{} -> {}", quoted(&hop.task), quoted(provider));
                writeln!(graph, "  {arrow} [label={}];", quoted(&says)).expect("a string takes it");
            }
        }
        graph + "}\n"
    }
}

fn place(op: Op) -> String {
    op.site().to_string()
}

/// As a string of JSON, which is one of Graphviz too.
fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            '\n' => quoted.push_str("\\n"),
            control if control < ' ' => {
                write!(quoted, "\\u{:04x}", control as u32).expect("a string takes it");
            }
            other => quoted.push(other),
        }
    }
    quoted + "\""
}

#[cfg(all(test, feature = "cli"))]
mod tests {
    use super::*;

    #[test]
    fn both_say_all_of_it() {
        let hop = Hop {
            task: "thread `\"a\"\n`".into(),
            waits_for: "lock `b`".into(),
            held_by: "thread `c` or thread `d`".into(),
            taken: None,
            op: Op::unasked("lock"),
            during: None,
            on_behalf_of: Some("run #1 of `x`".into()),
            remark: None,
        };
        let deadlock = Deadlock::new(vec![hop]);
        let json: serde_json::Value = serde_json::from_str(&deadlock.to_json()).unwrap();
        assert_eq!(json["hops"][0]["task"], "thread `\"a\"\n`");
        assert_eq!(json["hops"][0]["on_behalf_of"], "run #1 of `x`");
        assert!(json["hops"][0]["taken"].is_null());
        let dot = deadlock.to_dot();
        assert_eq!(dot.matches(" -> ").count(), 2, "{dot}");
        assert!(dot.contains(r#""thread `\"a\"\n`" -> "thread `d`""#), "{dot}");
    }
}
