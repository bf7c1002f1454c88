//! The known scripts as programs. Each reads first and changes last, so that a program that has to wait for a
//! key or for room runs again from its start.

use crate::commands::{Ctx, Reply as Ran, Stop, exec};
use gs_resp::{Args, Code, Flags, OwnedArgs, Protocol, Refusal, Reply, Writer, decode_reply};

/// What a script answers.
pub enum Value {
    /// A number.
    Int(i64),
    /// `nil` or `false`.
    Nil,
    /// `+OK`.
    Ok,
}

/// One script that runs: its keys and arguments, and the commands it calls.
pub struct Run<'r, 'c> {
    ctx: &'r mut Ctx<'c>,
    keys: Args<'r>,
    argv: Args<'r>,
    /// True for EVAL_RO: what would write is refused.
    reads_only: bool,
    /// True once a command changed something: from then on there is no going back to wait.
    changed: bool,
}

impl<'r, 'c> Run<'r, 'c> {
    /// A script about to start. The stripes of all its keys are held.
    pub fn new(ctx: &'r mut Ctx<'c>, keys: Args<'r>, argv: Args<'r>, reads_only: bool) -> Run<'r, 'c> {
        Run { ctx, keys, argv, reads_only, changed: false }
    }

    /// KEYS[n], counted from 1 as in Lua.
    fn key(&self, n: usize) -> Result<&'r [u8], Stop> {
        self.keys.get(n - 1).ok_or_else(missing)
    }

    /// ARGV[n], counted from 1 as in Lua.
    fn arg(&self, n: usize) -> Result<&'r [u8], Stop> {
        self.argv.get(n - 1).ok_or_else(missing)
    }

    /// `redis.call`.
    fn call(&mut self, words: &[&[u8]]) -> Result<Reply, Stop> {
        let owned: OwnedArgs = words.iter().collect();
        let args = owned.as_args();
        let row = exec::find(args)?;
        let writes = row.spec.flags.contains(Flags::WRITE);
        if self.reads_only && writes {
            return Err(Refusal::err("Write commands are not allowed from read-only scripts.").into());
        }
        let mut out = Vec::new();
        let proto = std::mem::replace(&mut self.ctx.conn.proto, Protocol::Resp2);
        let inner = &mut Ctx { node: self.ctx.node, conn: self.ctx.conn, out: &mut out };
        let outcome = exec::run(inner, row, args);
        self.ctx.conn.proto = proto;
        match outcome {
            Ok(Ran::Done) => {}
            Ok(Ran::Close | Ran::Wait(_)) => {
                return Err(Refusal::err("this command cannot wait in a script").into());
            }
            Err(Stop::Full) if self.changed => {
                self.ctx.node.metrics.oom.add(1);
                return Err(Refusal::oom().into());
            }
            Err(Stop::Below(_)) if self.changed => {
                let text = "a key moved to a relief while the script ran; send it again";
                return Err(Refusal::new(Code::TryAgain, text).into());
            }
            Err(stop) => return Err(stop),
        }
        self.changed |= writes;
        decode_reply(&out)
            .map_err(|_| Refusal::err("a command of the script answered nothing readable").into())
    }

    /// The value of KEYS[n], none without one.
    fn get(&mut self, n: usize) -> Result<Option<Vec<u8>>, Stop> {
        let key = self.key(n)?;
        Ok(self.call(&[b"get", key])?.as_bytes().map(<[u8]>::to_vec))
    }

    /// Whether KEYS[n] holds ARGV[1].
    fn holds(&mut self, n: usize) -> Result<bool, Stop> {
        let value = self.get(n)?;
        Ok(value.is_some() && value.as_deref() == self.argv.get(0))
    }

    /// An answer that is a number.
    fn number(&mut self, words: &[&[u8]]) -> Result<i64, Stop> {
        Ok(self.call(words)?.as_int().unwrap_or(0))
    }
}

/// Lua's complaint about a `nil` among the words of a command.
fn missing() -> Stop {
    Refusal::err("Lua redis lib command arguments must be strings or integers").into()
}

/// Writes an answer in the connection's protocol.
pub fn write(w: &mut Writer<'_>, value: &Value) {
    match value {
        Value::Int(n) => w.int(*n),
        Value::Nil => w.null(),
        Value::Ok => w.ok(),
    }
}

/// Releases a lock that is still one's own: 1 if it was.
pub(super) fn delete_if_equal(run: &mut Run<'_, '_>) -> Result<Value, Stop> {
    if !run.holds(1)? {
        return Ok(Value::Int(0));
    }
    let key = run.key(1)?;
    run.number(&[b"del", key]).map(Value::Int)
}

/// Gives a lock of one's own a new life in milliseconds, or with ARGV[3] "0" that much more: 1 if it was.
pub(super) fn extend_or_add(run: &mut Run<'_, '_>) -> Result<Value, Stop> {
    if !run.holds(1)? {
        return Ok(Value::Int(0));
    }
    let key = run.key(1)?;
    let left_ms = run.number(&[b"pttl", key])?;
    if left_ms < 0 {
        return Ok(Value::Int(0));
    }
    let mut life_ms = run.arg(2)?.to_vec();
    if run.argv.get(2) == Some(b"0") {
        // Lua adds as floating point and writes a whole number without a point.
        let more: f64 = std::str::from_utf8(&life_ms)
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .ok_or_else(not_a_number)?;
        life_ms = ((more + left_ms as f64) as i64).to_string().into_bytes();
    }
    run.call(&[b"pexpire", key, &life_ms])?;
    Ok(Value::Int(1))
}

fn not_a_number() -> Stop {
    Refusal::err("attempt to perform arithmetic on a string value").into()
}

/// Starts the life of a lock of one's own again: 1 if it was.
pub(super) fn reacquire(run: &mut Run<'_, '_>) -> Result<Value, Stop> {
    if !run.holds(1)? {
        return Ok(Value::Int(0));
    }
    let (key, life_ms) = (run.key(1)?, run.arg(2)?);
    run.call(&[b"pexpire", key, life_ms])?;
    Ok(Value::Int(1))
}

/// As [`reacquire`], answering what PEXPIRE answered.
pub(super) fn pexpire_if_equal(run: &mut Run<'_, '_>) -> Result<Value, Stop> {
    live_on(run, b"pexpire")
}

/// As [`pexpire_if_equal`], in seconds.
pub(super) fn expire_if_equal(run: &mut Run<'_, '_>) -> Result<Value, Stop> {
    live_on(run, b"expire")
}

fn live_on(run: &mut Run<'_, '_>, command: &[u8]) -> Result<Value, Stop> {
    if !run.holds(1)? {
        return Ok(Value::Int(0));
    }
    let (key, life) = (run.key(1)?, run.arg(2)?);
    run.number(&[command, key, life]).map(Value::Int)
}

/// Stores a value for some seconds if there is none.
pub(super) fn add(run: &mut Run<'_, '_>) -> Result<Value, Stop> {
    let key = run.key(1)?;
    if run.number(&[b"exists", key])? > 0 {
        return Ok(Value::Nil);
    }
    let (life_s, value) = (run.arg(2)?, run.arg(1)?);
    run.call(&[b"setex", key, life_s, value])?;
    Ok(Value::Ok)
}

/// Takes the locks of all keys, or none: how many.
pub(super) fn lock_all(run: &mut Run<'_, '_>) -> Result<Value, Stop> {
    for key in run.keys {
        if run.number(&[b"exists", key])? == 1 {
            return Ok(Value::Int(0));
        }
    }
    set_all(run)
}

/// Gives the locks of all keys a new life, or none if one of them is not one's own: how many.
pub(super) fn extend_all(run: &mut Run<'_, '_>) -> Result<Value, Stop> {
    for n in 1..=run.keys.len() {
        if !run.holds(n)? {
            return Ok(Value::Int(0));
        }
    }
    set_all(run)
}

fn set_all(run: &mut Run<'_, '_>) -> Result<Value, Stop> {
    for key in run.keys {
        let (value, life_ms) = (run.arg(1)?, run.arg(2)?);
        run.call(&[b"set", key, value, b"PX", life_ms])?;
    }
    Ok(Value::Int(run.keys.len() as i64))
}

/// Releases those of the locks that are one's own: how many.
pub(super) fn unlock_all(run: &mut Run<'_, '_>) -> Result<Value, Stop> {
    let mut count = 0;
    for n in 1..=run.keys.len() {
        if run.holds(n)? {
            let key = run.key(n)?;
            run.call(&[b"del", key])?;
            count += 1;
        }
    }
    Ok(Value::Int(count))
}

/// Adds to a number that exists.
pub(super) fn increment_existing(run: &mut Run<'_, '_>) -> Result<Value, Stop> {
    let key = run.key(1)?;
    if run.number(&[b"exists", key])? != 1 {
        return Ok(Value::Nil);
    }
    increment(run)
}

/// Adds to a number.
pub(super) fn increment(run: &mut Run<'_, '_>) -> Result<Value, Stop> {
    let (key, delta) = (run.key(1)?, run.arg(1)?);
    run.number(&[b"incrby", key, delta]).map(Value::Int)
}

/// Stores the three fields of a cached item and gives it a life in seconds, unless ARGV[3] is -1.
pub(super) fn store_fields(run: &mut Run<'_, '_>) -> Result<Value, Stop> {
    let (key, absolute, sliding, data) = (run.key(1)?, run.arg(1)?, run.arg(2)?, run.arg(4)?);
    run.call(&[b"hset", key, b"absexp", absolute, b"sldexp", sliding, b"data", data])?;
    if run.argv.get(2) != Some(b"-1") {
        let life_s = run.arg(3)?;
        run.call(&[b"expire", key, life_s])?;
    }
    Ok(Value::Int(1))
}

/// Reads two keys and answers nothing.
pub(super) fn read_two(run: &mut Run<'_, '_>) -> Result<Value, Stop> {
    run.get(1)?;
    run.get(2)?;
    Ok(Value::Nil)
}

/// Answers 1.
pub(super) fn one(_: &mut Run<'_, '_>) -> Result<Value, Stop> {
    Ok(Value::Int(1))
}
