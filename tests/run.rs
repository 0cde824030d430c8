//! `impasse run`: exit codes, what is on stdout and stderr, and JSON.
#![cfg(not(loom))]

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// What a child process came to.
struct Ran {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Ran {
    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }
}

/// Runs `impasse run` in the package's root; a child that hangs is killed and fails the test.
fn run(arguments: &[&str]) -> Ran {
    let mut child = Command::new(env!("CARGO_BIN_EXE_impasse"))
        .arg("run")
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let reader = |mut from: Box<dyn Read + Send>| {
        std::thread::spawn(move || {
            let mut text = String::new();
            from.read_to_string(&mut text).unwrap();
            text
        })
    };
    let stdout = reader(Box::new(child.stdout.take().unwrap()));
    let stderr = reader(Box::new(child.stderr.take().unwrap()));
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if start.elapsed() > Duration::from_secs(60) {
            child.kill().unwrap();
            panic!("`impasse run {arguments:?}` hangs");
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let code = status.code().unwrap_or_else(|| panic!("`impasse run {arguments:?}` ended by {status}"));
    Ran { code, stdout: stdout.join().unwrap(), stderr: stderr.join().unwrap() }
}

/// A script of this text in the target folder.
fn script(name: &str, text: impl AsRef<[u8]>) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn run_text(name: &str, text: &str, arguments: &[&str]) -> Ran {
    let path = script(name, text);
    run(&[&[path.to_str().unwrap()], arguments].concat())
}

#[test]
fn detect_names_the_cycle_and_the_script_sees_an_exception() {
    let ran = run(&["examples/seed.js", "--wait-on-owner", "detect"]);
    assert_eq!(ran.code, 1);
    let expected = "\
run() threw: deadlock: owner `vm` waits for run #1 of session `inference`, and run #1 of `inference` waits for a job on owner `vm`
the script goes on
";
    assert_eq!(ran.stdout, expected);
    let expected = "\
deadlock: 2 tasks wait for each other
  owner `vm` waits for run #1 of session `inference`    session.run       examples/seed.js:23
  run #1 of `inference` waits for a job on owner `vm`   middleware shout  examples/seed.js:7
  the job would be queued behind the one that waits (eval)
";
    assert_eq!(ran.stderr, expected);
}

#[test]
fn detect_puts_the_cycle_into_the_json() {
    let ran = run(&["examples/seed.js", "--wait-on-owner", "detect", "--format", "json"]);
    assert_eq!(ran.code, 1);
    let json = ran.json();
    assert_eq!(json["schema"], "impasse.run/1");
    assert_eq!(json["verdict"], "deadlock");
    assert_eq!(json["output"][1], "the script goes on");
    assert!(json["seconds"].is_f64());
    let hops = json["deadlocks"][0]["hops"].as_array().unwrap();
    let seen: Vec<_> = hops
        .iter()
        .map(|hop| ["task", "waits_for", "held_by", "op", "at"].map(|field| hop[field].as_str().unwrap()))
        .collect();
    let expected = [
        [
            "owner `vm`",
            "run #1 of session `inference`",
            "run #1 of `inference`",
            "session.run",
            "examples/seed.js:23",
        ],
        [
            "run #1 of `inference`",
            "a job on owner `vm`",
            "owner `vm`",
            "middleware shout",
            "examples/seed.js:7",
        ],
    ];
    assert_eq!(seen, expected);
}

#[test]
fn block_hangs_and_the_timeout_shows_who_waits_for_whom() {
    let ran = run(&["examples/seed.js", "--wait-on-owner", "block", "--timeout", "1s"]);
    assert_eq!((ran.code, &*ran.stdout), (3, ""));
    assert!(ran.stderr.starts_with("timeout: examples/seed.js has not ended in 1s\n"), "{}", ran.stderr);
    let owner = "owner `vm` waits for run #1 of session `inference`, held by run #1 of `inference`";
    let run_ = "run #1 of `inference` waits for a job on owner `vm`, held by owner `vm`";
    assert!(ran.stderr.contains(owner) && ran.stderr.contains(run_), "{}", ran.stderr);

    let asked = ["examples/seed.js", "--wait-on-owner", "block", "--timeout", "1s", "--format", "json"];
    let json = run(&asked).json();
    assert_eq!(json["verdict"], "timeout");
    assert_eq!(json["waiting"].as_array().unwrap().len(), 2);
}

#[test]
fn reject_is_the_default_and_starts_nothing() {
    let ran = run(&["examples/seed.js"]);
    assert_eq!((ran.code, &*ran.stderr), (0, ""));
    assert!(ran.stdout.starts_with("run() threw: session.run() would block this VM"), "{}", ran.stdout);
    assert!(ran.stdout.contains("session.start() or session.runAsync()"), "{}", ran.stdout);
    assert!(ran.stdout.ends_with("the script goes on\n"), "{}", ran.stdout);

    let text = "
        const gp = require('geppetto');
        const engine = gp.engines.fromFunction((turn) => { console.log('started'); return turn; });
        try { gp.createSession({ engine }).run(); } catch (error) { console.log(error.name); }";
    assert_eq!(run_text("reject.js", text, &[]).stdout, "WaitOnOwnerError\n");
}

#[test]
fn serve_completes_with_the_right_answer() {
    let ran = run(&["examples/seed.js", "--wait-on-owner", "serve"]);
    assert_eq!((ran.code, &*ran.stderr), (0, ""));
    assert_eq!(ran.stdout, "answer: HELLO FROM THE ENGINE\nthe script goes on\n");
}

#[test]
fn async_work_completes_under_every_policy() {
    for policy in ["block", "detect", "reject", "serve"] {
        let ran = run(&["examples/async.js", "--wait-on-owner", policy, "--timeout", "50s"]);
        assert_eq!((ran.code, &*ran.stderr), (0, ""), "{policy}");
        let mut lines: Vec<_> = ran.stdout.lines().collect();
        assert_eq!(lines[..2], ["started, running: true", "the script goes on"], "{policy}");
        lines[2..].sort_unstable();
        assert_eq!(lines[2..], ["runAsync(): BY A PROMISE", "start(): BY A HANDLE"], "{policy}");
    }
}

#[test]
fn a_run_without_callbacks_is_no_deadlock_under_detect() {
    let text = "
        const gp = require('geppetto');
        const turn = gp.createSession({ engine: gp.engines.echo({ reply: 'hi' }) }).run();
        console.log(turn.blocks[0].payload.text);";
    let ran = run_text("echo.js", text, &["--wait-on-owner", "detect"]);
    assert_eq!((ran.code, &*ran.stdout, &*ran.stderr), (0, "hi\n", ""));
}

#[test]
fn the_output_can_go_to_a_file() {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("out.json");
    let ran = run(&["examples/seed.js", "--format", "json", "-o", file.to_str().unwrap()]);
    assert_eq!((ran.code, &*ran.stdout), (0, ""));
    let json: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    assert_eq!(json["verdict"], "done");
}

#[test]
fn an_unreadable_script_is_a_usage_error() {
    let ran = run(&["no/such/script.js"]);
    assert_eq!((ran.code, &*ran.stdout), (2, ""));
    assert!(ran.stderr.contains("cannot read no/such/script.js: No such file"), "{}", ran.stderr);
    let binary = script("binary.js", b"\xff\xfe");
    let ran = run(&[binary.to_str().unwrap()]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("invalid utf-8"), "{}", ran.stderr);
}

#[test]
fn an_unknown_option_or_policy_is_a_usage_error_that_says_what_is_allowed() {
    let ran = run(&["examples/seed.js", "--wait-on-owner", "hope"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("block, detect, reject, serve"), "{}", ran.stderr);
    assert_eq!(run(&["examples/seed.js", "--nope"]).code, 2);
    assert_eq!(run(&["examples/seed.js", "--timeout", "soon"]).code, 2);
    assert_eq!(run(&[]).code, 2);
}

#[test]
fn a_syntax_error_shows_its_line() {
    let ran = run_text("syntax.js", "const a = 1;\nlet b = (a + ;\n", &[]);
    assert_eq!((ran.code, &*ran.stdout), (4, ""));
    assert!(ran.stderr.contains("SyntaxError"), "{}", ran.stderr);
    assert!(ran.stderr.contains("syntax.js:2:14"), "{}", ran.stderr);
    assert!(ran.stderr.contains("let b = (a + ;"), "{}", ran.stderr);
}

#[test]
fn a_script_that_throws_shows_its_stack() {
    let text = "console.log('before');\nfunction f() {\n  null.x;\n}\nf();\n";
    let ran = run_text("throws.js", text, &[]);
    assert_eq!((ran.code, &*ran.stdout), (4, "before\n"));
    assert!(ran.stderr.contains("TypeError: cannot read property 'x' of null"), "{}", ran.stderr);
    assert!(ran.stderr.contains("at f ("), "{}", ran.stderr);
    assert!(ran.stderr.contains("throws.js:3:"), "{}", ran.stderr);
    let json = run_text("throws2.js", text, &["--format", "json"]).json();
    assert_eq!((&json["verdict"], &json["error"]["name"]), (&"failed".into(), &"TypeError".into()));
}

#[test]
fn a_rejection_that_nobody_handles_fails_the_script() {
    let ran = run_text("rejects.js", "Promise.reject(new RangeError('far'));", &[]);
    assert_eq!(ran.code, 4);
    assert!(ran.stderr.contains("RangeError: far"), "{}", ran.stderr);
    let handled = "const p = Promise.reject(1); p.catch(() => console.log('caught'));";
    assert_eq!(run_text("handled.js", handled, &[]).code, 0);
}

#[test]
fn an_endless_loop_ends_with_the_timeout() {
    let ran = run_text("loop.js", "while (true) {}", &["--timeout", "300ms"]);
    assert_eq!(ran.code, 3);
    assert!(ran.stderr.contains("nobody waits: it is busy"), "{}", ran.stderr);
}

#[test]
fn what_a_callback_throws_reaches_the_caller_of_run() {
    let text = "
        const gp = require('geppetto');
        const session = (f) => gp.createSession({
          engine: gp.engines.fromFunction(f),
          middlewares: [gp.middlewares.fromJS((turn, next) => next(turn), 'pass')],
        });
        const attempt = (f) => { try { session(f).run(); } catch (error) { console.log(String(error)); } };
        attempt(() => { throw new RangeError('too far'); });
        attempt(() => 7);
        attempt(async (turn) => turn);
        attempt(function deep(turn) { return deep(turn); });
        session(() => { throw new RangeError('later'); }).runAsync().catch((error) => console.log(String(error)));";
    let ran = run_text("callbacks.js", text, &["--wait-on-owner", "serve"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let expected = [
        "RangeError: too far",
        "TypeError: engine anonymous must return a turn, and returned number",
        "TypeError: engine anonymous must return a turn, and returned a promise, which cannot be awaited in the middle of a run",
        "RangeError: Maximum call stack size exceeded",
        "RangeError: later",
    ];
    assert_eq!(ran.stdout.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn wrong_arguments_are_type_errors_that_name_the_function() {
    let text = "
        const gp = require('geppetto');
        const engine = gp.engines.echo({ reply: 'x' });
        const session = gp.createSession({ engine });
        const calls = {
          'engines.echo': () => gp.engines.echo(),
          'engines.fromFunction': () => gp.engines.fromFunction(3),
          'middlewares.fromJS': () => gp.middlewares.fromJS('x'),
          'createSession': () => gp.createSession({ engine, middlewares: [1] }),
          'turns.newTurn': () => gp.turns.newTurn(1),
          'turns.newUserBlock': () => gp.turns.newUserBlock(1),
          'turns.newAssistantBlock': () => gp.turns.newAssistantBlock({}),
          'session.append': () => session.append(3),
          'session.run': () => session.run(3),
          'session.start': () => session.start(3),
        };
        for (const [name, call] of Object.entries(calls)) {
          let error = null;
          try { call(); } catch (caught) { error = caught; }
          assert(error instanceof TypeError, name + ': ' + error);
          assert(error.message.startsWith(name), error.message);
        }
        console.log(Object.keys(calls).length);";
    let ran = run_text("arguments.js", text, &[]);
    assert_eq!((ran.code, &*ran.stdout), (0, "10\n"), "{}", ran.stderr);
}

#[test]
fn nested_runs_complete_under_serve() {
    let text = "
        const gp = require('geppetto');
        const last = (turn) => turn.blocks[turn.blocks.length - 1].payload.text;
        const inner = gp.createSession({ engine: gp.engines.fromFunction((turn) =>
          ({ ...turn, blocks: [gp.turns.newAssistantBlock('inner')] })) });
        const outer = gp.createSession({ engine: gp.engines.fromFunction((turn) =>
          ({ ...turn, blocks: [gp.turns.newAssistantBlock('outer of ' + last(inner.run()))] })) });
        console.log(last(outer.run()));";
    let ran = run_text("nested.js", text, &["--wait-on-owner", "serve"]);
    assert_eq!((ran.code, &*ran.stdout, &*ran.stderr), (0, "outer of inner\n", ""));
}
