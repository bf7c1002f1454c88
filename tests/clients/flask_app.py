"""Flask-Session: log in, be recognised, log out, be unknown. Usage: flask_app.py HOST PORT"""
import sys
import uuid

import redis
from flask import Flask, session
from flask_session import Session

host, port = sys.argv[1], int(sys.argv[2])
prefix = f"sess:{uuid.uuid4()}:"
store = redis.Redis(host=host, port=port)
app = Flask(__name__)
app.config.update(SESSION_TYPE="redis", SESSION_REDIS=store, SESSION_KEY_PREFIX=prefix, PERMANENT_SESSION_LIFETIME=600)
Session(app)


@app.post("/login")
def login():
    app.session_interface.regenerate(session)
    session["user"] = "ada"
    return {"user": "ada"}


@app.get("/me")
def me():
    return {"user": session.get("user")}


@app.post("/logout")
def logout():
    session.clear()
    return {}


def keys():
    return list(store.scan_iter(match=prefix + "*", count=100))


client = app.test_client()
assert client.get("/me").json == {"user": None}
assert client.post("/login").json == {"user": "ada"}
assert len(keys()) == 1, keys()
assert client.get("/me").json == {"user": "ada"}
assert 0 < store.ttl(keys()[0]) <= 600
assert client.post("/logout").json == {}
assert keys() == [], keys()
assert client.get("/me").json == {"user": None}
print("OK")
