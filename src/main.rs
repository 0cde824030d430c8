//! The `impasse` command. See `impasse --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    #[cfg(not(loom))]
    return impasse::cli::main();
    // Under loom there is no VM; the package builds all the same.
    #[cfg(loom)]
    ExitCode::from(2)
}
