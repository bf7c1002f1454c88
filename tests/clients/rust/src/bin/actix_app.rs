//! actix-session over its Redis store: log in, be recognised, renew, update, log out, be unknown; two requests that
//! follow each other. Usage: actix_app HOST PORT

use actix_session::storage::RedisSessionStore;
use actix_session::{Session, SessionMiddleware};
use actix_web::cookie::{Cookie, Key};
use actix_web::{App, Error, HttpResponse, test, web};

async fn login(session: Session) -> Result<HttpResponse, Error> {
    session.renew();
    session.insert("user", "ada")?;
    Ok(HttpResponse::Ok().finish())
}

async fn me(session: Session) -> Result<String, Error> {
    Ok(session.get::<String>("user")?.unwrap_or_default())
}

async fn seen(session: Session) -> Result<String, Error> {
    let seen = session.get::<u32>("seen")?.unwrap_or(0) + 1;
    session.insert("seen", seen)?;
    Ok(seen.to_string())
}

async fn logout(session: Session) -> HttpResponse {
    session.purge();
    HttpResponse::Ok().finish()
}

/// One request as a browser would send it.
macro_rules! call {
    ($app:expr, $method:ident $path:expr, $cookie:expr) => {{
        let mut request = test::TestRequest::$method().uri($path);
        if let Some(cookie) = &*$cookie {
            request = request.cookie(Cookie::clone(cookie));
        }
        let reply = test::call_service(&$app, request.to_request()).await;
        assert!(reply.status().is_success(), "{}: {}", $path, reply.status());
        if let Some(new) = reply.response().cookies().next() {
            *$cookie = Some(new.into_owned());
        }
        String::from_utf8(test::read_body(reply).await.to_vec()).expect("text")
    }};
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().collect();
    let url = format!("redis://{}:{}", args[1], args[2]);
    let store = RedisSessionStore::new(&url).await?;
    let key = Key::generate();
    let app = test::init_service(
        App::new()
            .wrap(SessionMiddleware::builder(store, key).cookie_secure(false).build())
            .route("/login", web::post().to(login))
            .route("/me", web::get().to(me))
            .route("/seen", web::post().to(seen))
            .route("/logout", web::post().to(logout)),
    )
    .await;
    let mut cookie: Option<Cookie<'static>> = None;
    assert_eq!(call!(app, get "/me", &mut cookie), "");
    call!(app, post "/login", &mut cookie);
    assert_eq!(call!(app, get "/me", &mut cookie), "ada");
    assert_eq!(call!(app, post "/seen", &mut cookie), "1");
    let first = cookie.clone();
    call!(app, post "/login", &mut cookie);
    assert_ne!(first, cookie, "a login takes a new id");
    let mut old = first;
    assert_eq!(call!(app, get "/me", &mut old), "", "the old id is nobody's");
    let (mut one, mut two) = (cookie.clone(), cookie.clone());
    let race = async { (call!(app, post "/seen", &mut one), call!(app, post "/seen", &mut two)) };
    let (a, b) = race.await;
    assert_eq!((a.as_str(), b.as_str()), ("2", "3"));
    let mut late = cookie.clone();
    call!(app, post "/logout", &mut cookie);
    assert_eq!(call!(app, get "/me", &mut late), "", "logged out everywhere");
    println!("OK");
    Ok(())
}
