//! `impasse prove`, as a user runs it.
#![cfg(not(loom))]

use std::process::Command;

use serde_json::Value;

fn prove(args: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_impasse")).arg("prove").args(args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn every_verdict_is_the_expected_one_and_the_counts_are_the_formulas() {
    let (code, stdout, stderr) = prove(&["--sessions", "3", "--callbacks", "3", "--format", "json"]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    let report: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((&report["schema"], &report["ok"]), (&"impasse.prove/1".into(), &true.into()));
    let rows = report["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 6 * 9);
    let is = |row: &&Value, configuration: &str, policy: &str| {
        row["configuration"] == configuration
            && row["policy"] == policy
            && row["sessions"] == 3
            && row["callbacks"] == 3
    };
    let find = |configuration, policy| rows.iter().find(|row| is(row, configuration, policy)).unwrap();

    let start = find("start", "reject");
    assert_eq!((&start["jobs_per_session"], &start["classes"]), (&4.into(), &34_650.into()));
    assert_eq!((&start["executions"], &start["redundant"]), (&34_650.into(), &0.into()));
    for (configuration, policy) in [("owner-run", "reject"), ("off-owner-run", "reject")] {
        assert_eq!(find(configuration, policy)["classes"], 1_680, "{configuration} {policy}");
    }
    let bug = find("owner-run", "block");
    assert_eq!((&bug["verdict"], &bug["classes"]), (&"deadlock".into(), &Value::Null));
    assert_eq!(bug["deadlocked"], bug["executions"]);
    assert_eq!(find("owner-run", "detect")["verdict"], "verified");
    assert_eq!(find("owner-run", "serve")["deadlocked"], 0);
}

#[test]
fn the_table_is_for_people_and_bad_arguments_are_refused() {
    let (code, stdout, _) = prove(&["--sessions", "2", "--callbacks", "1", "--workers", "2"]);
    assert_eq!(code, Some(0));
    assert!(stdout.contains("the bug: deadlocks in 4 of 4 executions"), "{stdout}");
    assert!(stdout.ends_with("every verdict is the expected one\n"), "{stdout}");
    let (code, _, stderr) = prove(&["--sessions", "0"]);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("0 is not in 1..=8"), "{stderr}");
}
