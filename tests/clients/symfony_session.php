<?php
// Symfony's RedisSessionHandler over php-redis and over Predis: create, read, touch, update, destroy.
// Usage: php symfony_session.php HOST PORT

require_once 'Symfony/Component/HttpFoundation/autoload.php';
require_once 'Predis/autoload.php';

use Symfony\Component\HttpFoundation\Session\Storage\Handler\RedisSessionHandler;

[, $host, $port] = $argv;

function same($got, $wanted, string $what): void
{
    if ($got !== $wanted) {
        fwrite(STDERR, "$what: got " . var_export($got, true) . ', wanted ' . var_export($wanted, true) . "\n");
        exit(1);
    }
}

ini_set('session.use_cookies', '0');
ini_set('session.cache_limiter', '');
$redis = new Redis();
$redis->connect($host, (int) $port, 10);
$predis = new Predis\Client(['host' => $host, 'port' => (int) $port]);
foreach (['php-redis' => $redis, 'Predis' => $predis] as $name => $client) {
    $prefix = "symfony:$name:";
    $handler = new RedisSessionHandler($client, ['prefix' => $prefix, 'ttl' => 600]);
    session_set_save_handler($handler, false);
    $start = function (string $id) {
        session_id($id);
        same(session_start(), true, 'session_start');
    };
    $id = bin2hex(random_bytes(16));
    $start($id);
    $_SESSION = ['user' => 'ada'];
    session_write_close();
    same((bool) $client->exists($prefix . $id), true, "$name: created");
    $start($id);
    same($_SESSION['user'] ?? null, 'ada', "$name: read");
    $redis->expire($prefix . $id, 100);
    session_write_close();
    same($redis->ttl($prefix . $id) > 100, true, "$name: an unchanged request renews its life");
    $start($id);
    $_SESSION['cart'] = [1, 2, 3];
    session_write_close();
    $start($id);
    same($_SESSION, ['user' => 'ada', 'cart' => [1, 2, 3]], "$name: updated");
    same(session_regenerate_id(true), true, "$name: regenerated");
    $new = session_id();
    session_write_close();
    same([$redis->exists($prefix . $id), $redis->exists($prefix . $new)], [0, 1], "$name: only the new id is left");
    $start($new);
    same(session_destroy(), true, "$name: destroyed");
    same($redis->exists($prefix . $new), 0, "$name: gone");
}
echo "OK\n";
