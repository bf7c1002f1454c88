//! `GS.PEEK`: the copies of a session in all tiers, none of them touched or moved.

use crate::commands::session::tier_word;
use crate::commands::{Answer, Ctx, Outcome, Reply};
use crate::core::node::Node;
use gs_client::cache::{Lookup, Meta};
use gs_client::kinds::KIND_STRING;
use gs_resp::{Args, Code, Refusal, Reply as Peer, Writer};

/// One copy as `GS.PEEK` shows it.
struct Seen {
    tier: String,
    node: String,
    version: u64,
    pttl: i64,
    idle_ms: u64,
    value: Option<Vec<u8>>,
}

fn write_seen(w: &mut Writer<'_>, list: &[Seen]) {
    w.array(list.len());
    for seen in list {
        w.map(6);
        w.bulk_str("tier");
        w.bulk_str(&seen.tier);
        w.bulk_str("node");
        w.bulk_str(&seen.node);
        w.bulk_str("version");
        w.uint(seen.version);
        w.bulk_str("pttl");
        w.int(seen.pttl);
        w.bulk_str("idle");
        w.uint(seen.idle_ms);
        w.bulk_str("value");
        match &seen.value {
            Some(value) => w.bulk(value),
            None => w.null(),
        }
    }
}

pub(super) fn peek(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let (db, key) = (ctx.conn.db, args.at(1).to_vec());
    let node = ctx.node.clone();
    let id = node.id(db, &key);
    let mut seen = Vec::new();
    let mut value = Vec::new();
    if let Lookup::Hit(meta) =
        node.cache.section().get(&id, &key, node.now_ms(), false, &mut value, |_, _| ())
    {
        seen.push(shown(&node, tier_word(&node), &node.name, &meta, value));
    }
    let Some(relay) = node.relay() else {
        write_seen(&mut ctx.reply(), &seen);
        return Ok(Reply::Done);
    };
    let mut holders = relay.directory.holders(&id);
    holders.retain(|holder| !holder.shadow);
    if holders.is_empty() {
        write_seen(&mut ctx.reply(), &seen);
        return Ok(Reply::Done);
    }
    let link = relay.downstream();
    let task = node.clone();
    ctx.later(async move {
        let Some(relay) = task.relay() else {
            return Err(Refusal::syntax());
        };
        for holder in holders {
            let member = relay.members.get(holder.node);
            let (tier, name) =
                member.map_or(("lost".into(), "?".into()), |m| (m.tier.word().to_string(), m.name));
            let words = [holder.node.to_string(), db.to_string()];
            let call: [&[u8]; 4] = [b"GS.FETCH", words[0].as_bytes(), words[1].as_bytes(), &key];
            let reply = match &link {
                Some(link) => link.call(&call).await.ok(),
                None => None,
            };
            match reply.as_ref().map(Peer::as_array) {
                Some(Some([version, pttl, kind, _age, idle, _copy, value])) => seen.push(Seen {
                    tier,
                    node: name,
                    version: version.as_u64().unwrap_or(0),
                    pttl: pttl.as_int().unwrap_or(-1),
                    idle_ms: idle.as_u64().unwrap_or(0),
                    value: value
                        .as_bytes()
                        .filter(|_| kind.as_int() == Some(i64::from(KIND_STRING)))
                        .map(<[u8]>::to_vec),
                }),
                _ if reply.as_ref().is_some_and(Peer::is_null) => {}
                _ => {
                    let text = format!(
                        "the session may be on relief '{name}', which cannot be reached; try again later"
                    );
                    return Err(Refusal::new(Code::Unavailable, text));
                }
            }
        }
        Ok(Box::new(move |w: &mut Writer<'_>| write_seen(w, &seen)) as Answer)
    })
}

fn shown(node: &Node, tier: &str, name: &str, meta: &Meta, value: Vec<u8>) -> Seen {
    Seen {
        tier: tier.into(),
        node: name.into(),
        version: meta.version,
        pttl: node.pttl(meta.deadline_ms),
        idle_ms: meta.idle_ms,
        value: (meta.kind == KIND_STRING).then_some(value),
    }
}
