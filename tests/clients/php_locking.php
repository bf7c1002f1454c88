<?php
// PHP's session handler with locking: two processes that count in one session lose nothing, and their locks are
// released. Without locking the later one wins. Usage: php php_locking.php HOST PORT

[, $host, $port] = $argv;
const ROUNDS = 25;

function settings(string $host, string $port, bool $locking): void
{
    ini_set('session.save_handler', 'redis');
    ini_set('session.save_path', "tcp://$host:$port?prefix=LOCKED:");
    ini_set('session.use_cookies', '0');
    ini_set('session.cache_limiter', '');
    ini_set('redis.session.locking_enabled', $locking ? '1' : '0');
    ini_set('redis.session.lock_wait_time', '2000');
    ini_set('redis.session.lock_retries', '10000');
    ini_set('redis.session.lock_expire', '30');
}

// As a worker: count.
if (($argv[3] ?? '') === 'count') {
    settings($host, $port, true);
    for ($n = 0; $n < ROUNDS; $n++) {
        session_id($argv[4]);
        session_start() || exit(3);
        $_SESSION['count'] = ($_SESSION['count'] ?? 0) + 1;
        session_write_close();
    }
    exit(0);
}

function same($got, $wanted, string $what): void
{
    if ($got !== $wanted) {
        fwrite(STDERR, "$what: got " . var_export($got, true) . ', wanted ' . var_export($wanted, true) . "\n");
        exit(1);
    }
}

$redis = new Redis();
$redis->connect($host, (int) $port, 10);
$id = bin2hex(random_bytes(16));
$workers = [];
for ($n = 0; $n < 2; $n++) {
    $workers[] = proc_open([PHP_BINARY, __FILE__, $host, $port, 'count', $id], [], $pipes);
}
foreach ($workers as $worker) {
    same(proc_close($worker), 0, 'a worker ends well');
}
settings($host, $port, true);
session_id($id);
session_start();
same($_SESSION['count'] ?? null, 2 * ROUNDS, 'no count is lost');
same($redis->exists("LOCKED:{$id}_LOCK"), 1, 'the lock is held while the session is open');
session_write_close();
same($redis->exists("LOCKED:{$id}_LOCK"), 0, 'the lock is released');

// A lock that somebody else holds is not released by us.
same($redis->set("LOCKED:{$id}_LOCK", 'theirs', ['nx', 'px' => 60000]), true, 'their lock');
$release = 'if redis.call("get",KEYS[1]) == ARGV[1] then return redis.call("del",KEYS[1]) else return 0 end';
same($redis->eval($release, ["LOCKED:{$id}_LOCK", 'ours'], 1), 0, 'not ours to release');
same($redis->evalSha(sha1($release), ["LOCKED:{$id}_LOCK", 'theirs'], 1), 1, 'theirs to release');

// Log out, and in again under the same id: the prefix is no path of sessions whose end is final.
session_id($id);
session_start();
session_destroy();
same($redis->exists("LOCKED:$id"), 0, 'logged out');
session_id($id);
session_start();
same($_SESSION, [], 'nothing came back');
$_SESSION['user'] = 'ada';
session_write_close();
session_id($id);
session_start();
same($_SESSION['user'] ?? null, 'ada', 'logged in again under the same id');
$old = $id;
same(session_regenerate_id(true), true, 'a new id');
$id = session_id();
session_write_close();
same([$redis->exists("LOCKED:$old"), $redis->exists("LOCKED:$id")], [0, 1], 'only the new id is left');
same($redis->del("LOCKED:$id"), 1, 'cleaned up');
echo "OK\n";
