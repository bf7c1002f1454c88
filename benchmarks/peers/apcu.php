<?php
// What apcu_fetch of a random key costs: `php apcu.php OBJECTS BYTES`, then a number of fetches per input line.
// Answers with nanoseconds per fetch, the cost of the loop around it (the same loop without the fetch) taken off, then
// with median and 99th percentile of single fetches, each between two readings of the clock whose own cost is taken off.
[$objects, $bytes] = [(int) $argv[1], (int) $argv[2]];
$value = str_repeat('v', $bytes);
$name = fn(int $n): string => sprintf('sess:%027d', $n * 7919);
for ($n = 0; $n < $objects; $n++) {
    if (!apcu_store($name($n), $value, 3600)) {
        echo "full at $n\n";
        exit(1);
    }
}
echo "ready\n";
mt_srand(1);
$keys = [];
for ($n = 0; $n < 200000; $n++) {
    $keys[] = $name(mt_rand(0, $objects - 1));
}
while (($line = fgets(STDIN)) !== false) {
    $times = (int) $line;
    $rounds = max(1, intdiv($times, count($keys)));
    $missed = 0;
    $start = hrtime(true);
    for ($r = 0; $r < $rounds; $r++) {
        foreach ($keys as $key) {
            if (apcu_fetch($key) === false) {
                $missed++;
            }
        }
    }
    $with = hrtime(true) - $start;
    $start = hrtime(true);
    for ($r = 0; $r < $rounds; $r++) {
        foreach ($keys as $key) {
            if ($key === false) {
                $missed++;
            }
        }
    }
    $without = hrtime(true) - $start;
    $mean = ($with - $without) / ($rounds * count($keys));
    $clock = $singles = [];
    for ($n = 0; $n < 2000; $n++) {
        $start = hrtime(true);
        $clock[] = hrtime(true) - $start;
    }
    for ($n = 0; $n < min(50000, count($keys)); $n++) {
        $key = $keys[$n];
        $start = hrtime(true);
        $found = apcu_fetch($key);
        $singles[] = hrtime(true) - $start;
        $missed += $found === false ? 1 : 0;
    }
    sort($clock);
    sort($singles);
    $at = fn(float $share): float => max(0, $singles[(int) (count($singles) * $share)] - $clock[1000]);
    echo $missed > 0 ? "missed $missed\n" : sprintf("%.1f %.1f %.1f\n", $mean, $at(0.5), $at(0.99));
}
