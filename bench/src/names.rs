//! Cases and subjects by their names on the command line.

/// The one of `all` that is called so.
///
/// # Errors
///
/// There is none: which there are.
pub fn by_name<N>(
    all: impl IntoIterator<Item = N>,
    called: impl Fn(&N) -> String,
    name: &str,
) -> Result<N, String> {
    let mut names = Vec::new();
    for one in all {
        let its = called(&one);
        if its == name {
            return Ok(one);
        }
        names.push(format!("`{its}`"));
    }
    Err(format!("expected one of {}", names.join(", ")))
}

#[cfg(test)]
mod tests {
    #[test]
    fn who_is_not_there_is_told_who_is() {
        let find = |name| super::by_name([1, 22], ToString::to_string, name);
        assert_eq!(find("22"), Ok(22));
        assert_eq!(find("2"), Err("expected one of `1`, `22`".into()));
    }
}
