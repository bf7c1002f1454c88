//! CONFIG REWRITE: changed options back into the file they came from, its comments and order kept.

use crate::load::{Inputs, load};
use crate::options::Config;
use crate::render::config_all;
use crate::row::{Kind, Row};
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

/// Writes the values that `rows` have in `config` into a TOML file, in the lines where they stand, else at the end of
/// their group. The file is replaced as a whole or not at all.
///
/// # Errors
/// The file is not TOML, cannot be read or written, or would not say afterwards what it should.
pub fn rewrite(path: &Path, config: &Config, rows: &[&Row]) -> io::Result<()> {
    if path.extension().is_some_and(|extension| extension != "toml") {
        let text = "only TOML files are rewritten; the options in force are in CONFIG GET";
        return Err(io::Error::new(io::ErrorKind::Unsupported, text));
    }
    let mut text = fs::read_to_string(path)?;
    for row in rows {
        text = with(&text, row.name, &value(config, row)?);
    }
    // Beside the file, because only there a rename replaces it at once.
    let beside = path.with_extension(format!("rewrite-{}.toml", std::process::id()));
    let written = (|| {
        let mut file = fs::File::create(&beside)?;
        file.set_permissions(fs::metadata(path)?.permissions())?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        judge(&beside, config, rows)?;
        fs::rename(&beside, path)
    })();
    if written.is_err() {
        // It may never have been made.
        let _ = fs::remove_file(&beside);
    }
    written
}

/// The value as TOML.
fn value(config: &Config, row: &Row) -> io::Result<String> {
    let text = match row.secret {
        // Secrets are not shown by anything that lists options; the file is where this one belongs.
        true => Some(config.requirepass.clone()),
        false => config_all(config).into_iter().find(|(name, _)| name == row.name).map(|(_, value)| value),
    };
    let text = text.ok_or_else(|| io::Error::other(format!("{} has no value", row.name)))?;
    Ok(match row.kind {
        Kind::Bool | Kind::Integer { .. } | Kind::Millis { .. } | Kind::Bytes { .. } | Kind::Port => text,
        _ => quoted(&text),
    })
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// The text with one option set. `a.b` is looked for as `b` behind `[a]` and as `a.b` before any group.
fn with(text: &str, name: &str, value: &str) -> String {
    let (group, key) = name.rsplit_once('.').unwrap_or(("", name));
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let mut here = String::new();
    let mut last_of_group = (group.is_empty()).then_some(0);
    for (i, line) in lines.iter_mut().enumerate() {
        let bare = line.trim();
        if let Some(title) = bare.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
            title.trim().clone_into(&mut here);
        }
        let stands = match here.as_str() {
            "" => is_key(bare, name) || (group.is_empty() && is_key(bare, key)),
            title => title == group && is_key(bare, key),
        };
        if stands {
            let comment = comment_of(line).map(|comment| format!(" {comment}")).unwrap_or_default();
            let before = line.split('=').next().unwrap_or_default().trim_end().to_owned();
            *line = format!("{before} = {value}{comment}");
            return lines.join("\n") + "\n";
        }
        if here == group && !bare.is_empty() {
            last_of_group = Some(i + 1);
        }
    }
    match last_of_group {
        Some(at) => lines.insert(at, format!("{key} = {value}")),
        None => lines.extend([String::new(), format!("[{group}]"), format!("{key} = {value}")]),
    }
    lines.join("\n") + "\n"
}

fn is_key(line: &str, key: &str) -> bool {
    line.split_once('=').is_some_and(|(name, _)| name.trim().replace(['"', ' '], "") == key)
}

/// The comment at the end of a line: a `#` outside of quotes.
fn comment_of(line: &str) -> Option<&str> {
    let mut quote = None;
    for (i, c) in line.char_indices() {
        match (quote, c) {
            (None, '#') => return Some(&line[i..]),
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if c == open => quote = None,
            _ => {}
        }
    }
    None
}

/// The new text must be read as what it should say.
fn judge(beside: &Path, config: &Config, rows: &[&Row]) -> io::Result<()> {
    let inputs = Inputs { file: Some(beside.to_owned()), ..Inputs::default() };
    let read =
        load(&inputs).map_err(|errors| io::Error::other(errors.to_string().replace('\n', " ")))?.config;
    for row in rows {
        if value(&read, row)? != value(config, row)? {
            let text = format!("{} stands in the file in a way that cannot be rewritten", row.name);
            return Err(io::Error::other(text));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An operator's file is theirs: comments, order and everything that was not changed stay.
    #[test]
    fn only_the_changed_value_changes() {
        let text =
            "# mine\nrole = \"relay\"\n\n[limits]\n# few\nmaxclients = 10 # ten\n\n[log]\nlevel = \"info\"\n";
        let changed = with(text, "limits.maxclients", "20");
        assert_eq!(changed, text.replace("maxclients = 10 # ten", "maxclients = 20 # ten"));
        let more = with(text, "limits.idle_timeout_ms", "5");
        assert_eq!(more, text.replace("# ten\n", "# ten\nidle_timeout_ms = 5\n"));
        let group = with(text, "watch.latency_ms", "7");
        assert_eq!(group, format!("{text}\n[watch]\nlatency_ms = 7\n"));
        let root = with(text, "notify_keyspace_events", "\"KEA\"");
        assert_eq!(root, text.replace("\"relay\"\n", "\"relay\"\nnotify_keyspace_events = \"KEA\"\n"));
        let dotted = "watch.latency_ms = 3\n[limits]\nmaxclients = 1\n";
        assert_eq!(with(dotted, "watch.latency_ms", "4"), dotted.replace("= 3", "= 4"));
        assert_eq!(comment_of("a = \"#\" # b"), Some("# b"));
    }

    /// The whole way: file, change, file, and what another start reads.
    #[test]
    fn a_rewritten_file_says_what_is_in_force() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("relay.toml");
        fs::write(&path, "role = \"relay\" # it\n").expect("written");
        let config = load(&Inputs { file: Some(path.clone()), ..Inputs::default() }).expect("good").config;
        let pairs =
            [("maxclients", "77"), ("timeout", "9"), ("loglevel", "warning"), ("requirepass", "a\"b")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let (changed, rows) = crate::set_all(&config, &pairs).expect("all are good");
        rewrite(&path, &changed, &rows).expect("rewritten");
        let again = load(&Inputs { file: Some(path.clone()), ..Inputs::default() }).expect("good").config;
        assert_eq!(again, changed);
        assert!(fs::read_to_string(&path).expect("read").starts_with("role = \"relay\" # it\n"));
        assert_eq!(fs::read_dir(dir.path()).expect("listed").count(), 1, "nothing is left beside it");
        let yaml = dir.path().join("relay.yaml");
        fs::write(&yaml, "role: relay\n").expect("written");
        rewrite(&yaml, &changed, &rows).expect_err("not TOML");
    }
}
