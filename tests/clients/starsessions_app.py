"""starsessions under Starlette: log in, be recognised, regenerate, log out, be unknown.
Usage: starsessions_app.py HOST PORT"""
import asyncio
import sys
import uuid

import redis.asyncio
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from starsessions import SessionAutoloadMiddleware, SessionMiddleware, get_session_id, regenerate_session_id
from starsessions.stores.redis import RedisStore

host, port = sys.argv[1], int(sys.argv[2])
prefix = f"stars-{uuid.uuid4()}:"


async def login(request):
    regenerate_session_id(request)
    request.session["user"] = "ada"
    return JSONResponse({"id": get_session_id(request)})


async def me(request):
    request.session["seen"] = request.session.get("seen", 0) + 1
    return JSONResponse({"user": request.session.get("user")})


async def logout(request):
    request.session.clear()
    return JSONResponse({})


store = RedisStore(f"redis://{host}:{port}/0", prefix=prefix, gc_ttl=600)
app = Starlette(
    routes=[Route("/login", login, methods=["POST"]), Route("/me", me), Route("/logout", logout, methods=["POST"])],
    middleware=[
        Middleware(SessionMiddleware, store=store, lifetime=600, rolling=True, cookie_https_only=False),
        Middleware(SessionAutoloadMiddleware),
    ],
)


async def keys():
    own = redis.asyncio.Redis(host=host, port=port)
    try:
        return [(k.decode(), await own.ttl(k)) async for k in own.scan_iter(match=prefix + "*")]
    finally:
        await own.aclose()


with TestClient(app) as client:
    assert client.get("/me").json() == {"user": None}
    client.post("/login")
    assert client.get("/me").json() == {"user": "ada"}
    found = asyncio.run(keys())
    assert found and all(0 < ttl <= 600 for _, ttl in found), found
    client.post("/logout")
    assert client.get("/me").json() == {"user": None}
print("OK")
