//! Lets loom and TraceForge be linked into one program.
//!
//! loom switches stacks with `generator` 0.8, TraceForge with `generator` 0.7, and both versions export the
//! assembly routines `prefetch`, `bootstrap_green_task` and `swap_registers`. On x86-64 ELF the routines, the
//! saved registers and the first frame are the same in 0.7.5 and 0.8.11, instruction by instruction, so either
//! copy serves both. Anywhere else the linker goes on refusing, which is right until somebody has compared them.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let target = |what: &str| env::var(format!("CARGO_CFG_TARGET_{what}")).unwrap_or_default();
    if target("OS") == "linux" && target("ARCH") == "x86_64" {
        println!("cargo::rustc-link-arg=-Wl,--allow-multiple-definition");
    }
}
