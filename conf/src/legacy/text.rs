//! The ancestors' JSON: comments, loose formatting, text around the object, `true|false` where a choice was meant.

use serde_json::Value;

use crate::error::{ConfError, Errors, Origin, without_source};

/// Deepest nesting that is read; the ancestors' files have five levels. The parser recurses, so it gets a bound.
const DEPTH_MAX: usize = 32;

/// Parses the object in the text; the notes say what was read in an unusual way.
pub(crate) fn parse(text: &str) -> Result<(Value, Vec<String>), Errors> {
    let (object, mut notes) = cut(text).map_err(syntax)?;
    let (object, chosen) = choose(&object);
    if chosen {
        notes.push("`true|false` stands for a choice that was not made: read as true".to_owned());
    }
    let value: Value = json5::from_str(&object).map_err(|error| syntax(error.to_string()))?;
    Ok((value, notes))
}

fn syntax(reason: String) -> Errors {
    ConfError::Syntax {
        origin: Origin::File("the configuration".to_owned()),
        format: "JSON with comments",
        reason: without_source(&reason),
    }
    .into()
}

/// What one character of the text belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Code,
    Text(char),
    Escape(char),
    LineComment,
    BlockComment,
}

/// Follows the text and tells for every character where it is.
fn places(text: &str) -> impl Iterator<Item = (usize, char, Place)> + '_ {
    let mut place = Place::Code;
    let mut previous = '\0';
    let mut chars = text.char_indices().peekable();
    std::iter::from_fn(move || {
        let (at, c) = chars.next()?;
        let next = chars.peek().map(|(_, c)| *c);
        let here = place;
        let mut this = here;
        place = match here {
            Place::Code if c == '"' || c == '\'' => {
                this = Place::Text(c);
                Place::Text(c)
            }
            Place::Code if c == '/' && next == Some('/') => {
                this = Place::LineComment;
                Place::LineComment
            }
            Place::Code if c == '/' && next == Some('*') => {
                this = Place::BlockComment;
                // The star that opens must not also close.
                previous = '\0';
                chars.next();
                Place::BlockComment
            }
            Place::Text(quote) if c == '\\' => Place::Escape(quote),
            Place::Text(quote) if c == quote => Place::Code,
            Place::Escape(quote) => Place::Text(quote),
            Place::LineComment if c == '\n' => Place::Code,
            Place::BlockComment if previous == '*' && c == '/' => Place::Code,
            other => other,
        };
        previous = c;
        Some((at, c, this))
    })
}

/// The text from the first `{` to the `}` that closes it, with a note when there was text around it.
fn cut(text: &str) -> Result<(String, Vec<String>), String> {
    let mut start = None;
    let mut depth = 0usize;
    let mut around = false;
    let mut end = None;
    for (at, c, place) in places(text) {
        if place != Place::Code {
            continue;
        }
        match c {
            '{' | '[' if end.is_none() && (start.is_some() || c == '{') => {
                start.get_or_insert(at);
                depth += 1;
                if depth > DEPTH_MAX {
                    return Err(format!("nested deeper than {DEPTH_MAX} levels"));
                }
            }
            '}' | ']' if start.is_some() && end.is_none() => {
                depth -= 1;
                if depth == 0 {
                    end = Some(at + 1);
                }
            }
            c if !c.is_whitespace() && (start.is_none() || end.is_some()) => around = true,
            _ => {}
        }
    }
    let notes = if around { vec!["text around the object was skipped".to_owned()] } else { Vec::new() };
    match (start, end) {
        (Some(start), Some(end)) => Ok((text[start..end].to_owned(), notes)),
        (Some(_), None) => Err("the object is not closed: a } is missing".to_owned()),
        _ => Err("there is no object: it should begin with {".to_owned()),
    }
}

/// Replaces `true|false` outside texts and comments by `true`.
fn choose(object: &str) -> (String, bool) {
    let code: Vec<(usize, char)> =
        places(object).filter(|(_, _, place)| *place == Place::Code).map(|(at, c, _)| (at, c)).collect();
    let mut out = object.to_owned();
    let mut chosen = false;
    // From the back, so that earlier places stay where they are.
    for (at, _) in code.iter().rev().filter(|(_, c)| *c == '|') {
        let (before, after) = (object[..*at].trim_end(), object[at + 1..].trim_start());
        if before.ends_with("true") && after.starts_with("false") {
            let from = before.len();
            let to = object.len() - after.len() + "false".len();
            out.replace_range(from..to, "");
            chosen = true;
        }
    }
    (out, chosen)
}
