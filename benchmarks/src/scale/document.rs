//! Tables inside a document that people write: between two marks, and nowhere else.

/// Replaces what stands between the marks of a part. `None` where the document does not have both, in order.
pub fn replace(document: &str, part: &str, text: &str) -> Option<String> {
    let (begin, end) = (format!("<!-- {part}: generated -->\n"), format!("<!-- {part}: end -->"));
    let from = document.find(&begin)? + begin.len();
    let to = from + document[from..].find(&end)?;
    Some(format!("{}\n{}\n{}", &document[..from], text.trim(), &document[to..]))
}

/// What stands between the marks of a part.
pub fn part<'a>(document: &'a str, part: &str) -> Option<&'a str> {
    let (_, rest) = document.split_once(&format!("<!-- {part}: generated -->\n"))?;
    rest.split_once(&format!("<!-- {part}: end -->")).map(|(text, _)| text.trim())
}
