//! Lines of scripts as the lines of reports.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use crate::Site;

/// What the module's own source is called on stacks, so that its frames can be passed over.
pub(super) const MODULE: &str = "impasse:geppetto";

/// A text as long-lived as labels and file names of reports are. The same text is kept once; a program that
/// makes up more than a few thousand gets the first of them for all others.
pub(super) fn keep(text: &str) -> &'static str {
    static KEPT: Mutex<Option<HashSet<&'static str>>> = Mutex::new(None);
    const MOST: usize = 4096;
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    let kept = kept.get_or_insert_default();
    if let Some(known) = kept.get(text) {
        return known;
    }
    if kept.len() >= MOST {
        return "...";
    }
    let new: &'static str = Box::leak(text.to_owned().into_boxed_str());
    kept.insert(new);
    new
}

/// A place as long-lived as reports are, on the same terms.
pub(super) fn keep_site(site: Site) -> &'static Site {
    static KEPT: Mutex<Option<HashSet<&'static Site>>> = Mutex::new(None);
    const MOST: usize = 1 << 16;
    const SOMEWHERE: &Site = &Site { file: "...", line: 0, column: 0 };
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    let kept = kept.get_or_insert_default();
    if let Some(known) = kept.get(&site) {
        return known;
    }
    if kept.len() >= MOST {
        return SOMEWHERE;
    }
    let new: &'static Site = Box::leak(Box::new(site));
    kept.insert(new);
    new
}

/// The innermost line of a stack that belongs to a script. A frame reads `at name (file:line:column)`, or
/// without a name `at file:line:column`.
pub(super) fn of_stack(stack: &str) -> Option<Site> {
    stack.lines().find_map(|frame| {
        let frame = frame.trim().strip_prefix("at ")?;
        let place = match frame.rsplit_once('(') {
            Some((_, place)) => place.strip_suffix(')')?,
            None => frame,
        };
        let mut parts = place.rsplitn(3, ':');
        let (column, line) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let file = parts.next().filter(|file| *file != MODULE)?;
        Some(Site { file: keep(file), line, column })
    })
}

/// A site as the module passes it through a script: `file:line:column`.
pub(super) fn parse(text: &str) -> Option<Site> {
    of_stack(&format!("at {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_site_of_a_stack_is_its_first_frame_in_a_script() {
        let stack = "    at site (native)\n    at run (impasse:geppetto:9:1)\n    at main (dir/a b.js:17:23)\n    at <eval> (x.js:1:1)\n";
        let site = of_stack(stack).expect("there is one");
        assert_eq!((site.file, site.line, site.column), ("dir/a b.js", 17, 23));
        assert_eq!(of_stack("    at x.js:3:5\n"), Some(Site { file: "x.js", line: 3, column: 5 }));
        assert_eq!(of_stack("    at f (native)\n"), None);
    }

    #[test]
    fn a_kept_text_is_kept_once() {
        assert!(std::ptr::eq(keep("one"), keep(&String::from("one"))));
    }
}
