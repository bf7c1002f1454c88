//! The grammar of every command, as the server tells it in COMMAND DOCS.

use gs_tests::wire::{Value, Wire};

/// One argument of a command.
#[derive(Clone, Debug)]
pub(crate) struct Arg {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) token: Option<String>,
    pub(crate) optional: bool,
    pub(crate) multiple: bool,
    pub(crate) multiple_token: bool,
    pub(crate) children: Vec<Arg>,
}

/// One command or subcommand.
#[derive(Clone, Debug)]
pub(crate) struct Grammar {
    /// Its name: one word or two.
    pub(crate) words: Vec<String>,
    pub(crate) group: String,
    pub(crate) args: Vec<Arg>,
}

/// The commands that both servers have, but for those of `left_out`.
pub(crate) fn of_both(ours: &str, oracle: &str, left_out: &[&str]) -> Vec<Grammar> {
    let mut wire = Wire::connect(ours);
    wire.hello3();
    let mut all = Vec::new();
    for (name, doc) in pairs(&wire.call(&["COMMAND", "DOCS"])) {
        match doc.field("subcommands") {
            Some(subs) => all.extend(pairs(subs).iter().map(|(name, doc)| grammar(name, doc))),
            None => all.push(grammar(&name, &doc)),
        }
    }
    let mut oracle = Wire::connect(oracle);
    all.retain(|grammar| {
        let name = grammar.words.join("|");
        let known = oracle.call(&["COMMAND", "INFO", &name]);
        !left_out.contains(&name.as_str())
            && !left_out.contains(&grammar.words[0].as_str())
            && known.items()[0] != Value::Null
    });
    all.sort_by(|a, b| a.words.cmp(&b.words));
    all
}

fn pairs(value: &Value) -> Vec<(String, Value)> {
    match value {
        Value::Map(pairs) => pairs.iter().map(|(name, value)| (name.text(), value.clone())).collect(),
        other => panic!("COMMAND DOCS answers maps, not {other:?}"),
    }
}

fn grammar(name: &str, doc: &Value) -> Grammar {
    Grammar {
        words: name.split('|').map(str::to_owned).collect(),
        group: doc.must("group").text(),
        args: doc.field("arguments").map(args).unwrap_or_default(),
    }
}

fn args(value: &Value) -> Vec<Arg> {
    value.items().iter().map(arg).collect()
}

fn arg(value: &Value) -> Arg {
    let flag = |name: &str| {
        value.field("flags").is_some_and(|flags| flags.items().iter().any(|flag| flag.text() == name))
    };
    Arg {
        name: value.must("name").text(),
        kind: value.must("type").text(),
        token: value.field("token").map(Value::text),
        optional: flag("optional"),
        multiple: flag("multiple"),
        multiple_token: flag("multiple_token"),
        children: value.field("arguments").map(args).unwrap_or_default(),
    }
}
