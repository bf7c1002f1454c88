/* hiredis: the calls of a session store, pipelined ones and binary values. Usage: hiredis HOST PORT */
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static redisContext *c;

static void fail(const char *what, redisReply *r) {
    fprintf(stderr, "%s: %s\n", what, r && r->str ? r->str : c->errstr);
    exit(1);
}

static void want(const char *what, redisReply *r, int type, long long number, const char *text) {
    if (!r || r->type != type) fail(what, r);
    if (type == REDIS_REPLY_INTEGER && r->integer != number) fail(what, r);
    if (text && (r->len != strlen(text) || memcmp(r->str, text, r->len))) fail(what, r);
    freeReplyObject(r);
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    c = redisConnect(argv[1], atoi(argv[2]));
    if (!c || c->err) return fprintf(stderr, "connect failed\n"), 1;
    char key[64];
    snprintf(key, sizeof key, "hiredis:%ld", (long)getpid());
    const char bytes[] = "\0\xff\r\n$5\r\n";
    want("set", redisCommand(c, "SET %s %b EX 600 NX", key, bytes, sizeof bytes), REDIS_REPLY_STATUS, 0, "OK");
    redisReply *r = redisCommand(c, "GET %s", key);
    if (!r || r->len != sizeof bytes || memcmp(r->str, bytes, sizeof bytes)) fail("get", r);
    freeReplyObject(r);
    want("set nx", redisCommand(c, "SET %s x NX", key), REDIS_REPLY_NIL, 0, NULL);
    want("expire", redisCommand(c, "EXPIRE %s 100", key), REDIS_REPLY_INTEGER, 1, NULL);
    want("wrong", redisCommand(c, "HGET %s f", key), REDIS_REPLY_ERROR, 0,
         "WRONGTYPE Operation against a key holding the wrong kind of value");
    for (int n = 0; n < 1000; n++) redisAppendCommand(c, "SETEX %s:%d 60 %d", key, n, n);
    for (int n = 0; n < 1000; n++) {
        if (redisGetReply(c, (void **)&r) != REDIS_OK) fail("pipeline", NULL);
        want("setex", r, REDIS_REPLY_STATUS, 0, "OK");
    }
    for (int n = 0; n < 1000; n++) redisAppendCommand(c, "DEL %s:%d", key, n);
    for (int n = 0; n < 1000; n++) {
        if (redisGetReply(c, (void **)&r) != REDIS_OK) fail("pipeline", NULL);
        want("del", r, REDIS_REPLY_INTEGER, 1, NULL);
    }
    want("del", redisCommand(c, "DEL %s", key), REDIS_REPLY_INTEGER, 1, NULL);
    want("gone", redisCommand(c, "GET %s", key), REDIS_REPLY_NIL, 0, NULL);
    redisFree(c);
    puts("OK");
    return 0;
}
