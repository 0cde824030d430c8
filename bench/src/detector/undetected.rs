//! The same program without a detector: built once more with `--cfg undetected`, in which no wait is published and nobody
//! looks.

use std::env;
use std::error::Error;
use std::path::PathBuf;
use std::process::Command;

/// Builds it, if it is not there or not the same any more.
///
/// # Errors
///
/// It does not build.
pub fn build() -> Result<PathBuf, Box<dyn Error>> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let target = PathBuf::from(root).join("target/undetected");
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--release", "--quiet", "-p", "impasse-bench", "--target-dir"])
        .arg(&target)
        .env("RUSTFLAGS", "--cfg undetected")
        .current_dir(root)
        .status()?;
    if !built.success() {
        return Err(format!("cargo build: {built}").into());
    }
    Ok(target.join("release").join(format!("impasse-bench{}", env::consts::EXE_SUFFIX)))
}
