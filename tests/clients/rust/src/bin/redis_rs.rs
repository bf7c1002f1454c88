//! redis-rs: blocking, asynchronous, RESP3 with a client-side cache, and two workers that race.
//! Usage: redis_rs HOST PORT

use redis::{AsyncCommands, Commands, ExistenceCheck, SetExpiry, SetOptions};
use std::process::id;

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn blocking(client: &redis::Client, key: &str) -> Result<(), Failure> {
    let mut con = client.get_connection()?;
    let create =
        SetOptions::default().conditional_set(ExistenceCheck::NX).with_expiration(SetExpiry::EX(600));
    let made: Option<String> = con.set_options(key, &b"\0\xff\r\n"[..], create)?;
    assert_eq!(made.as_deref(), Some("OK"));
    assert_eq!(con.get::<_, Vec<u8>>(key)?, b"\0\xff\r\n");
    assert!(con.expire::<_, bool>(key, 100)?);
    assert!((99..=100).contains(&con.ttl::<_, i64>(key)?));
    let (a, b): (i64, i64) =
        redis::pipe().atomic().set(key, 1).ignore().incr(key, 4).ttl(key).query(&mut con)?;
    assert_eq!((a, b), (5, -1));
    let found: Vec<String> = con.scan_match(format!("{key}*"))?.collect::<Result<_, _>>()?;
    assert_eq!(found, [key]);
    let (count,): (i64,) = redis::transaction(&mut con, &[key], |con, pipe| {
        let n: i64 = con.get(key)?;
        pipe.set(key, n + 1).ignore().get(key).query(con)
    })?;
    assert_eq!(count, 6);
    con.hset_multiple::<_, _, _, ()>(format!("{key}:h"), &[("user", "ada"), ("n", "1")])?;
    assert_eq!(con.hincr::<_, _, _, i64>(format!("{key}:h"), "n", 2)?, 3);
    assert_eq!(con.del::<_, i64>(&[key.to_owned(), format!("{key}:h")])?, 2);
    Ok(())
}

async fn racing(client: &redis::Client, key: &str) -> Result<(), Failure> {
    let manager = client.get_connection_manager().await?;
    let mut workers = Vec::new();
    for _ in 0..2 {
        let (mut con, key) = (manager.clone(), key.to_owned());
        workers.push(tokio::spawn(async move {
            for _ in 0..100 {
                con.incr::<_, _, i64>(&key, 1).await?;
            }
            Ok::<(), redis::RedisError>(())
        }));
    }
    for worker in workers {
        worker.await??;
    }
    let mut con = manager;
    assert_eq!(con.get_del::<_, i64>(key).await?, 200);
    assert!(!con.exists::<_, bool>(key).await?);
    Ok(())
}

async fn caching(url: &str, key: &str) -> Result<(), Failure> {
    let cached = redis::Client::open(format!("{url}?protocol=resp3"))?;
    let config = redis::AsyncConnectionConfig::new().set_cache_config(redis::caching::CacheConfig::new());
    let mut con = cached.get_multiplexed_async_connection_with_config(&config).await?;
    let mut other = cached.get_multiplexed_async_connection().await?;
    other.set::<_, _, ()>(key, "first").await?;
    for _ in 0..2 {
        assert_eq!(con.get::<_, String>(key).await?, "first");
    }
    let statistics = con.get_cache_statistics().expect("a cache was asked for");
    assert!(statistics.hit >= 1, "the second read is local");
    other.set::<_, _, ()>(key, "second").await?;
    let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while con.get::<_, String>(key).await? != "second" {
        assert!(std::time::Instant::now() < end, "the invalidation never came");
        tokio::task::yield_now().await;
    }
    other.del::<_, ()>(key).await?;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().collect();
    let url = format!("redis://{}:{}/", args[1], args[2]);
    let client = redis::Client::open(url.as_str())?;
    let key = format!("rust:{}", id());
    tokio::task::block_in_place(|| blocking(&client, &key))?;
    racing(&client, &format!("{key}:race")).await?;
    caching(&url, &format!("{key}:cached")).await?;
    println!("OK");
    Ok(())
}
