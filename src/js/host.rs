//! What the module asks of the host: sessions, runs, settlement, output.

use std::rc::Rc;
use std::sync::Arc;

use rquickjs::context::EvalOptions;
use rquickjs::{Ctx, Exception as JsException, Function, Object};

use super::exception::{Exception, guarded, run_error, throw_run_error};
use super::functions::{Functions, JsFn};
use super::progress::Progress;
use super::script::Console;
use super::site::{self, MODULE};
use super::vm::Vm;
use crate::{Handle, Op, Run, RunError, Session, Site};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Turns travel between threads as JSON.
type JsSession = Session<Vm, String, String>;

/// What every native function of the module knows.
#[derive(Clone)]
struct Host {
    vm: Handle<Vm>,
    functions: Rc<Functions>,
    progress: Rc<Progress>,
}

/// Runs the module's source in a new machine.
///
/// # Errors
///
/// The machine has no memory for it.
pub(super) fn install(vm: &Vm, handle: &Handle<Vm>, console: &Console) -> Result<(), Exception> {
    let host = Host { vm: handle.clone(), functions: vm.functions.clone(), progress: vm.progress.clone() };
    vm.with(|ctx| {
        let installed = || -> rquickjs::Result<()> {
            let mut options = EvalOptions::default();
            options.filename = Some(MODULE.to_owned());
            let module: Function<'_> = ctx.eval_with_options(include_str!("geppetto.js"), options)?;
            let natives = Object::new(ctx.clone())?;
            let console = console.clone();
            natives.set(
                "print",
                Function::new(ctx.clone(), move |ctx: Ctx<'_>, line: String| {
                    guarded(&ctx, || {
                        console(&line);
                        Ok(())
                    })
                })?,
            )?;
            natives.set("site", Function::new(ctx.clone(), caller)?)?;
            natives.set("open", Function::new(ctx.clone(), open_function(host))?)?;
            module.call((natives,))
        };
        installed().map_err(|error| Exception::caught(ctx, error))
    })
}

/// The line of the script that called the module, as text; empty if no script did.
fn caller(ctx: Ctx<'_>) -> rquickjs::Result<String> {
    // A new error takes the stack of this moment.
    let stack = JsException::from_message(ctx, "")?.stack().unwrap_or_default();
    Ok(site::of_stack(&stack).map(|site| format!("{site:#}")).unwrap_or_default())
}

fn op(label: &'static str, site: &str) -> Op {
    Op::at(label, site::keep_site(site::parse(site).unwrap_or(Site { file: MODULE, line: 1, column: 1 })))
}

/// `open(name, infer, reply, label, site)`. `infer` is the first callback of a run, which leads to all others;
/// without one a run answers with the block `reply` by itself.
fn open_function(
    host: Host,
) -> impl for<'js> Fn(
    Ctx<'js>,
    String,
    Option<Function<'js>>,
    Option<String>,
    String,
    String,
) -> rquickjs::Result<Object<'js>>
+ 'static {
    move |ctx, name, infer, reply, label, site| {
        guarded(&ctx, || {
            let infer = infer.map(|infer| Arc::new(host.functions.keep(&ctx, infer, &host.vm)));
            let callback = op(site::keep(&label), &site);
            let reply = reply.unwrap_or_default();
            let session = Session::builder(&name, &host.vm).concurrent();
            let session = session.engine(move |run: &Run<Vm>, turn: String| match &infer {
                Some(infer) => call_back(run, callback, infer, turn),
                None => answer(&turn, &reply),
            });
            session_object(&ctx, &host, session)
        })
    }
}

/// A session as the module sees it: an object with `run` and `start`.
fn session_object<'js>(ctx: &Ctx<'js>, host: &Host, session: JsSession) -> rquickjs::Result<Object<'js>> {
    let object = Object::new(ctx.clone())?;
    let runs = session.clone();
    let run = move |ctx: Ctx<'_>, turn: String, site: String| {
        guarded(&ctx, || {
            runs.run_as(op("session.run", &site), turn).map_err(|error| throw_run_error(&ctx, &error))
        })
    };
    object.set("run", Function::new(ctx.clone(), run)?)?;
    let host = host.clone();
    object.set("start", Function::new(ctx.clone(), start_function(host, session))?)?;
    Ok(object)
}

/// On the run's thread: the callbacks of the run, on the owner.
fn call_back(run: &Run<Vm>, op: Op, infer: &Arc<JsFn>, turn: String) -> Result<String, BoxError> {
    let infer = infer.clone();
    let answered = run.call(op, move |vm| {
        vm.with(|ctx| {
            let answered = vm.functions.get(ctx, &infer).and_then(|infer| infer.call((turn,)));
            answered.map_err(|error| Exception::caught(ctx, error))
        })
    })?;
    Ok(answered?)
}

/// On the run's thread: the answer of an engine that needs no callback.
fn answer(turn: &str, reply: &str) -> Result<String, BoxError> {
    let mut turn: serde_json::Value = serde_json::from_str(turn)?;
    let blocks = turn["blocks"].as_array_mut().ok_or("a turn has an array of blocks")?;
    blocks.push(serde_json::from_str(reply)?);
    Ok(turn.to_string())
}

/// `start(turn, site, fulfil, reject)`: starts a run, which one of the two settles on the owner. Returns its
/// number.
fn start_function(
    host: Host,
    session: JsSession,
) -> impl for<'js> Fn(Ctx<'js>, String, String, Function<'js>, Function<'js>) -> rquickjs::Result<f64> + 'static
{
    move |ctx, turn, site, fulfil, reject| {
        guarded(&ctx, || {
            let fulfil = host.functions.keep(&ctx, fulfil, &host.vm);
            let reject = host.functions.keep(&ctx, reject, &host.vm);
            let op = op("session.start", &site);
            let run = session.start_as(op, turn).map_err(|error| throw_run_error(&ctx, &error))?;
            let id = run.id();
            run.on_settled(op.with_label("settle"), move |vm, result| settle(vm, &fulfil, &reject, result))
                .map_err(|closed| JsException::throw_message(&ctx, &closed.to_string()))?;
            host.progress.run_started();
            Ok(id as f64)
        })
    }
}

/// On the owner, once for each started run.
fn settle(vm: &Vm, fulfil: &JsFn, reject: &JsFn, result: Result<String, RunError>) {
    vm.with(|ctx| {
        vm.progress.run_settled();
        let settled = match result {
            Ok(turn) => vm.functions.get(ctx, fulfil).and_then(|fulfil| fulfil.call::<_, ()>((turn,))),
            Err(error) => vm
                .functions
                .get(ctx, reject)
                .and_then(|reject| reject.call::<_, ()>((run_error(ctx, &error)?,))),
        };
        // They are the module's own functions: they settle a promise.
        if let Err(error) = settled {
            unreachable!("settling a promise threw {}", Exception::caught(ctx, error));
        }
    });
}
