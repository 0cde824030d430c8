//! The macro.

/// Does whichever of several operations on channels can be done first, and goes on with what belongs to it. If several
/// can, the first of them.
///
/// ```
/// use impasse::sync::channel::{bounded, select, unbounded};
/// let (numbers, number) = unbounded::<u32>();
/// let (words, _word) = bounded::<&str>(1);
/// numbers.send(42).unwrap();
/// let came = select! {
///     recv(number) -> got => got?,
///     send(words, "hello") -> sent => { sent.unwrap(); 0 }
///     default => 1,
/// };
/// assert_eq!(came, 42);
/// # Ok::<(), impasse::sync::channel::RecvError>(())
/// ```
///
/// `default(time) => ...` is done when the time is up, `default => ...` if all others would have to wait. Without one it
/// waits: as [`Select::wait`](crate::sync::channel::Select::wait). An error of the wait itself (a deadlock, a cancelled
/// run) is told to the first operation.
#[macro_export]
macro_rules! select {
    (@add $select:ident [$($done:tt)*] $limit:tt recv($receiver:expr) -> $got:pat => $body:expr, $($rest:tt)*) => {{
        let chosen = $select.recv(&$receiver);
        $crate::select!(@add $select [$($done)* (chosen received $got => $body)] $limit $($rest)*)
    }};
    (@add $select:ident [$($done:tt)*] $limit:tt send($sender:expr, $item:expr) -> $sent:pat => $body:expr, $($rest:tt)*) => {{
        let chosen = $select.send(&$sender, $item);
        $crate::select!(@add $select [$($done)* (chosen sent $sent => $body)] $limit $($rest)*)
    }};
    (@add $select:ident $done:tt [] default => $body:expr, $($rest:tt)*) => {
        $crate::select!(@add $select $done [::std::time::Duration::ZERO => $body] $($rest)*)
    };
    (@add $select:ident $done:tt [] default($time:expr) => $body:expr, $($rest:tt)*) => {
        $crate::select!(@add $select $done [$time => $body] $($rest)*)
    };
    // A block needs no comma.
    (@add $select:ident $done:tt $limit:tt $kind:ident $of:tt -> $what:pat => $body:block $($rest:tt)+) => {
        $crate::select!(@add $select $done $limit $kind $of -> $what => $body, $($rest)+)
    };
    (@add $select:ident $done:tt $limit:tt default $of:tt => $body:block $($rest:tt)+) => {
        $crate::select!(@add $select $done $limit default $of => $body, $($rest)+)
    };
    (@add $select:ident $done:tt $limit:tt default => $body:block $($rest:tt)+) => {
        $crate::select!(@add $select $done $limit default => $body, $($rest)+)
    };
    // The last one needs none either.
    (@add $select:ident $done:tt $limit:tt $kind:ident $of:tt -> $what:pat => $body:expr) => {
        $crate::select!(@add $select $done $limit $kind $of -> $what => $body,)
    };
    (@add $select:ident $done:tt $limit:tt default $of:tt => $body:expr) => {
        $crate::select!(@add $select $done $limit default $of => $body,)
    };
    (@add $select:ident $done:tt $limit:tt default => $body:expr) => {
        $crate::select!(@add $select $done $limit default => $body,)
    };
    (@add $select:ident [$(($chosen:ident $outcome:ident $what:pat => $body:expr))*] []) => {{
        let outcome = $select.wait();
        $(if outcome.is(&$chosen) {
            let $what = $chosen.$outcome(&outcome);
            $body
        } else)* {
            ::std::unreachable!("one of the operations is done")
        }
    }};
    (@add $select:ident [$(($chosen:ident $outcome:ident $what:pat => $body:expr))*] [$limit:expr => $default:expr]) => {{
        let outcome = $select.wait_timeout($limit);
        $(if outcome.is(&$chosen) {
            let $what = $chosen.$outcome(&outcome);
            $body
        } else)* {
            $default
        }
    }};
    (@$($broken:tt)*) => {
        ::std::compile_error!("select! takes `recv(receiver) -> result => body`, `send(sender, item) -> result => body`, and at most one `default => body` or `default(time) => body`, separated by commas")
    };
    ($($operations:tt)*) => {{
        #[allow(unused_mut)]
        let mut select = $crate::sync::channel::Select::new();
        $crate::select!(@add select [] [] $($operations)*)
    }};
}
