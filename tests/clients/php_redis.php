<?php
// php-redis with its defaults, and PHP's own session handler on it. Usage: php php_redis.php HOST PORT

[, $host, $port] = $argv;

function same($got, $wanted, string $what): void
{
    if ($got !== $wanted) {
        fwrite(STDERR, "$what: got " . var_export($got, true) . ', wanted ' . var_export($wanted, true) . "\n");
        exit(1);
    }
}

$redis = new Redis();
same($redis->connect($host, (int) $port, 10), true, 'connect');
$key = 'php:' . bin2hex(random_bytes(16));
same($redis->ping(), true, 'ping');
same($redis->set($key, "\0\xffvalue\r\n"), true, 'set');
same($redis->get($key), "\0\xffvalue\r\n", 'get');
same($redis->setex($key, 60, 'second'), true, 'setex');
same($redis->ttl($key) > 0 && $redis->ttl($key) <= 60, true, 'ttl');
same($redis->expire($key, 600), true, 'expire');
same($redis->pttl($key) > 60000, true, 'pttl');
same($redis->set($key, 'third', ['nx', 'ex' => 10]), false, 'set nx');
same($redis->set($key, 'third', ['xx', 'px' => 60000]), true, 'set xx');
same($redis->exists($key, "$key:other"), 1, 'exists');
same($redis->mget([$key, "$key:other"]), ['third', false], 'mget');
same($redis->multi()->set($key, '4')->expire($key, 30)->get($key)->del($key)->get($key)->exec(), [true, true, '4', 1, false], 'multi');
$pipe = $redis->pipeline();
for ($n = 0; $n < 100; $n++) {
    $pipe->setex("$key:$n", 60, (string) $n);
}
same($pipe->exec(), array_fill(0, 100, true), 'pipeline');
$redis->setOption(Redis::OPT_SCAN, Redis::SCAN_RETRY);
$found = [];
$cursor = null;
while (($keys = $redis->scan($cursor, "$key:*", 100)) !== false) {
    foreach ($keys as $k) {
        $found[$k] = true;
    }
}
same(count($found), 100, 'scan');
same($redis->del(array_keys($found)), 100, 'del');

// A persistent connection is tried with ECHO when it is taken up again.
for ($n = 0; $n < 2; $n++) {
    $again = new Redis();
    same($again->pconnect($host, (int) $port, 10, 'gs'), true, 'pconnect');
    same($again->echo('hello'), 'hello', 'echo');
    $again->close();
}

// Log in, come back, log out, with PHP's session handler.
ini_set('session.save_handler', 'redis');
ini_set('session.save_path', "tcp://$host:$port");
ini_set('session.use_cookies', '0');
ini_set('session.cache_limiter', '');
$id = bin2hex(random_bytes(16));
session_id($id);
same(session_start(), true, 'session_start');
$_SESSION['user'] = 'ada';
session_write_close();
same($redis->exists("PHPREDIS_SESSION:$id"), 1, 'the session is stored');
$_SESSION = [];
session_id($id);
session_start();
same($_SESSION['user'] ?? null, 'ada', 'the session comes back');
session_destroy();
same($redis->exists("PHPREDIS_SESSION:$id"), 0, 'the session is gone');
echo "OK\n";
