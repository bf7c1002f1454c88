//! tower-sessions over its Redis store (the fred client) in an axum application: log in, be recognised, update,
//! regenerate, log out, be unknown; two requests that race. Usage: tower_session HOST PORT

use axum::Router;
use axum::body::Body;
use axum::http::{Request, header};
use axum::routing::{get, post};
use tower::ServiceExt;
use tower_sessions::cookie::time::Duration;
use tower_sessions::{Expiry, Session, SessionManagerLayer};
use tower_sessions_redis_store::RedisStore;
use tower_sessions_redis_store::fred::prelude::*;

type Failure = Box<dyn std::error::Error + Send + Sync>;

async fn login(session: Session) -> String {
    session.cycle_id().await.expect("a new id");
    session.insert("user", "ada").await.expect("an entry");
    session.save().await.expect("saved");
    session.id().expect("an id").to_string()
}

async fn me(session: Session) -> String {
    session.get::<String>("user").await.expect("readable").unwrap_or_default()
}

async fn seen(session: Session) -> String {
    let seen = session.get::<u32>("seen").await.expect("readable").unwrap_or(0) + 1;
    session.insert("seen", seen).await.expect("an entry");
    seen.to_string()
}

async fn logout(session: Session) {
    session.flush().await.expect("gone");
}

struct Browser {
    app: Router,
    cookie: String,
}

impl Browser {
    async fn call(&mut self, method: &str, path: &str) -> Result<String, Failure> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::COOKIE, &self.cookie)
            .body(Body::empty())?;
        let reply = self.app.clone().oneshot(request).await?;
        assert!(reply.status().is_success(), "{method} {path}: {}", reply.status());
        if let Some(cookie) = reply.headers().get(header::SET_COOKIE) {
            self.cookie = cookie.to_str()?.split(';').next().unwrap_or_default().to_owned();
        }
        Ok(String::from_utf8(axum::body::to_bytes(reply.into_body(), 1 << 20).await?.to_vec())?)
    }
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().collect();
    let config = Config::from_url(&format!("redis://{}:{}", args[1], args[2]))?;
    let pool = Pool::new(config, None, None, None, 2)?;
    let task = pool.connect();
    pool.wait_for_connect().await?;
    let layer = SessionManagerLayer::new(RedisStore::new(pool.clone()))
        .with_secure(false)
        .with_expiry(Expiry::OnInactivity(Duration::seconds(600)));
    let app = Router::new()
        .route("/login", post(login))
        .route("/me", get(me))
        .route("/seen", post(seen))
        .route("/logout", post(logout))
        .layer(layer);
    let mut browser = Browser { app, cookie: String::new() };
    assert_eq!(browser.call("GET", "/me").await?, "");
    let id = browser.call("POST", "/login").await?;
    assert_eq!(browser.call("GET", "/me").await?, "ada");
    let left: i64 = pool.ttl(id.as_str()).await?;
    assert!((1..=600).contains(&left), "{left}");
    assert_eq!(browser.call("POST", "/seen").await?, "1");
    let mut other = Browser { app: browser.app.clone(), cookie: browser.cookie.clone() };
    let (a, b) = tokio::join!(browser.call("POST", "/seen"), other.call("POST", "/seen"));
    assert!(["2", "3"].contains(&a?.as_str()) && ["2", "3"].contains(&b?.as_str()));
    let new = browser.call("POST", "/login").await?;
    assert_ne!(id, new, "a login takes a new id");
    assert_eq!(pool.exists::<i64, _>(vec![id.as_str(), new.as_str()]).await?, 1, "only the new id is left");
    browser.call("POST", "/logout").await?;
    assert_eq!(pool.exists::<i64, _>(new.as_str()).await?, 0);
    assert_eq!(other.call("GET", "/me").await?, "", "an old cookie is nobody's");
    pool.quit().await?;
    task.await??;
    println!("OK");
    Ok(())
}
