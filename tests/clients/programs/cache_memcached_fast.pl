#!/usr/bin/perl
# cache_memcached_fast.pl - everything that Perl's Cache::Memcached::Fast offers, on one server.
#
#     perl cache_memcached_fast.pl HOST PORT ascii
#
# Prints a line per step, `name = value`, with ` !! not EXPECTED` behind what is not as it must be; the status is 1 then.
use strict;
use warnings;
use utf8;
use Cache::Memcached::Fast;
use Compress::Zlib ();
use Data::Dumper ();
use Digest::MD5 ();
use Encode ();
use Time::HiRes ();

my ($host, $port) = @ARGV;
my ($steps, $faults) = (0, 0);
binmode STDOUT, ':encoding(UTF-8)';

sub text {
    my ($value) = @_;
    return length($value) . ' bytes ' . Digest::MD5::md5_hex(Encode::encode_utf8($value))
        if defined $value && !ref $value && length($value) > 200;
    return Data::Dumper->new([$value])->Indent(0)->Terse(1)->Sortkeys(1)->Useqq(1)->Dump;
}

# Numbers and texts are the same to Perl, so they are compared as texts.
sub same {
    my ($left, $right) = @_;
    return !defined $left && !defined $right if !defined $left || !defined $right;
    return $left eq $right if !ref $left && !ref $right;
    return 0 if ref $left ne ref $right;
    if (ref $left eq 'ARRAY') {
        return @$left == @$right && !grep { !same($left->[$_], $right->[$_]) } 0 .. $#$left;
    }
    if (ref $left eq 'HASH') {
        return keys %$left == keys %$right && !grep { !exists $right->{$_} || !same($left->{$_}, $right->{$_}) } keys %$left;
    }
    return same($$left, $$right);
}

sub expect {
    my ($name, $actual, $expected) = @_;
    $steps++;
    my $wrong = !same($actual, $expected);
    $faults++ if $wrong;
    print "$name = ", text($actual), $wrong ? ' !! not ' . text($expected) : '', "\n";
}

sub client {
    return Cache::Memcached::Fast->new({
        servers => ["$host:$port"], connect_timeout => 20, io_timeout => 20, utf8 => 1, max_size => 8 * 1024 * 1024, @_ });
}

sub storage {
    my ($client) = @_;
    expect('get absent', $client->get('absent'), undef);
    expect('set', $client->set('k', 'value'), 1);
    expect('get', $client->get('k'), 'value');
    expect('add there', $client->add('k', 'other'), '');
    expect('add', $client->add('added', 'a', 1000), 1);
    expect('replace', $client->replace('added', 'b'), 1);
    expect('replace absent', $client->replace('absent', 'x'), '');
    expect('append', $client->append('k', '-end'), 1);
    expect('prepend', $client->prepend('k', 'start-'), 1);
    expect('append absent', $client->append('absent', 'x'), '');
    expect('prepend absent', $client->prepend('absent', 'x'), '');
    expect('get joined', $client->get('k'), 'start-value-end');
    expect('delete', $client->delete('k'), 1);
    expect('delete again', $client->delete('k'), '');
    expect('remove absent', $client->remove('k'), '');
    expect('get deleted', $client->get('k'), undef);
}

sub cas {
    my ($client) = @_;
    $client->set('k', 'one');
    my $found = $client->gets('k');
    expect('gets', $found->[1], 'one');
    expect('a token is not 0', $found->[0] != 0 ? 1 : 0, 1);
    expect('a token stands', $client->gets('k')->[0] == $found->[0] ? 1 : 0, 1);
    expect('gets absent', $client->gets('absent'), undef);
    expect('cas', $client->cas('k', $found->[0], 'two'), 1);
    expect('cas again', $client->cas('k', $found->[0], 'three'), '');
    expect('cas absent', $client->cas('absent', $found->[0], 'x'), '');
    expect('get cas', $client->get('k'), 'two');
    $client->set('l', 'v');
    my $both = $client->gets_multi('k', 'l', 'absent');
    expect('gets many', { map { $_ => $both->{$_}[1] } keys %$both }, { k => 'two', l => 'v' });
    expect('cas many', scalar $client->cas_multi(['k', $both->{k}[0], 'K'], ['l', $both->{k}[0] + 12345, 'L'], ['absent', 1, 'x']),
           { k => 1, l => '', absent => '' });
    expect('get behind cas many', $client->get_multi('k', 'l'), { k => 'K', l => 'v' });
}

sub counters {
    my ($client) = @_;
    $client->set('n', 10);
    expect('incr', $client->incr('n', 5), 15);
    expect('incr by one', $client->incr('n'), 16);
    expect('decr', $client->decr('n', 3), 13);
    expect('get counter', $client->get('n'), 13);
    expect('decr to 0', $client->decr('n', 100), '0E0');
    expect('incr absent', $client->incr('absent'), '');
    expect('decr absent', $client->decr('absent'), '');
    $client->set('n', 10);
    expect('wraps', $client->incr('n', 18446744073709551615), 9);
    $client->set('text', 'abc');
    expect('incr of text', $client->incr('text'), undef);
    expect('text stays', $client->get('text'), 'abc');
    $client->set_multi(['a', 1], ['b', 2]);
    expect('incr many', scalar $client->incr_multi(['a', 5], 'b', 'absent'), { a => 6, b => 3, absent => '' });
    expect('decr many', scalar $client->decr_multi(['a', 5], 'b', 'absent'), { a => 1, b => 2, absent => '' });
}

sub many {
    my ($client) = @_;
    my %items = map { ("many-$_" => { number => $_ }) } 0 .. 299;
    expect('set many', { %{ $client->set_multi(map { [$_, $items{$_}, 1000] } sort keys %items) } }, { map { $_ => 1 } keys %items });
    expect('get many', $client->get_multi(keys %items, 'absent'), \%items);
    expect('add many', scalar $client->add_multi(['many-1', 'x'], ['fresh', 'f']), { 'many-1' => '', fresh => 1 });
    expect('replace many', scalar $client->replace_multi(['fresh', 'F'], ['absent', 'x']), { fresh => 1, absent => '' });
    expect('append many', scalar $client->append_multi(['fresh', '-a'], ['absent', 'x']), { fresh => 1, absent => '' });
    expect('prepend many', scalar $client->prepend_multi(['fresh', 'p-'], ['absent', 'x']), { fresh => 1, absent => '' });
    expect('get behind them', $client->get('fresh'), 'p-F-a');
    expect('touch many', scalar $client->touch_multi(['fresh', 1000], ['absent', 1000]), { fresh => 1, absent => '' });
    expect('get and touch many', $client->gat_multi(1000, 'fresh', 'absent'), { fresh => 'p-F-a' });
    expect('gets and touch many', { map { $_->[1] => $_->[0] > 0 ? 1 : 0 } values %{ $client->gats_multi(1000, 'fresh', 'absent') } },
           { 'p-F-a' => 1 });
    expect('delete many', scalar $client->delete_multi('many-1', 'many-2', 'absent'), { 'many-1' => 1, 'many-2' => 1, absent => '' });
    expect('get behind delete', [sort keys %{ $client->get_multi(map {"many-$_"} 0 .. 3) }], ['many-0', 'many-3']);
}

# In void context nothing is answered.
sub quiet {
    my ($client) = @_;
    $client->set("quiet-$_", "v$_") for 0 .. 299;
    $client->delete('quiet-3');
    $client->add('quiet-4', 'no');
    $client->replace('quiet-5', 'new');
    $client->append('quiet-6', '!');
    $client->prepend('quiet-6', '?');
    $client->set('quiet-n', 50);
    $client->incr('quiet-n', 7);
    $client->decr('quiet-n', 2);
    $client->touch('quiet-7', 1000);
    $client->cas('quiet-8', 1, 'no');
    $client->set_multi(['quiet-a', 1], ['quiet-b', 2]);
    $client->delete_multi('quiet-a');
    $client->nowait_push;
    expect('get behind quiet', $client->get_multi(map {"quiet-$_"} 3 .. 8, 299, 'n', 'a', 'b'),
           { 'quiet-4' => 'v4', 'quiet-5' => 'new', 'quiet-6' => '?v6!', 'quiet-7' => 'v7', 'quiet-8' => 'v8', 'quiet-299' => 'v299',
             'quiet-n' => 55, 'quiet-b' => 2 });
    my $nowait = client(nowait => 1);
    $nowait->set("nowait-$_", "v$_") for 0 .. 299;
    $nowait->nowait_push;
    expect('get behind nowait', $client->get('nowait-299'), 'v299');
}

sub values_of_every_kind {
    my ($client) = @_;
    my %values = (text => 'text', empty => '', unicode => 'grüße ☃', bytes => "\0\x{ff}\r\nEND\r\n", int => 42, negative => -7, float => 1.5,
                  list => [1, 'two', [undef]], map => { a => { b => 1 } }, reference => \'inner', long => 'abc' x 100000);
    my $packing = client(compress_threshold => 1000, compress_ratio => 0.9,
                         compress_methods => [sub { ${ $_[1] } = Compress::Zlib::memGzip(${ $_[0] }) },
                                              sub { ${ $_[1] } = Compress::Zlib::memGunzip(${ $_[0] }) }]);
    for my $kind (sort keys %values) {
        expect("set $kind", $client->set($kind, $values{$kind}), 1);
        expect("get $kind", $client->get($kind), $values{$kind});
        expect("set packed $kind", $packing->set($kind, $values{$kind}), 1);
        expect("get packed $kind", $packing->get($kind), $values{$kind});
    }
}

sub expiry {
    my ($client) = @_;
    $client->set('t', 'v', 1000);
    $client->set('u', 'v', time + 3_000_000);
    $client->set('p', 'v', time - 1000);
    expect('get for long', $client->get('t'), 'v');
    expect('get until', $client->get('u'), 'v');
    expect('get past', $client->get('p'), undef);
    expect('touch', $client->touch('t', 2000), 1);
    expect('touch absent', $client->touch('absent', 10), '');
    expect('get and touch', $client->gat(3000, 't'), 'v');
    expect('get and touch absent', $client->gat(3000, 'absent'), undef);
    expect('gets and touch', $client->gats(3000, 't')->[1], 'v');
    expect('touch into the past', $client->touch('u', time - 1000), 1);
    expect('get past touch', $client->get('u'), undef);
    $client->set('s', 'v', 1);
    my $deadline = time + 20;
    Time::HiRes::sleep(0.02) while defined $client->get('s') && time < $deadline;
    expect('get behind a second', $client->get('s'), undef);
}

sub keys_and_sizes {
    my ($client) = @_;
    my $longest = 'k' x 250;
    expect('longest key', $client->set($longest, 'v'), 1);
    expect('get longest key', $client->get($longest), 'v');
    expect('key too long', $client->set('k' x 251, 'v'), undef);
    expect('get behind it', $client->get($longest), 'v');
    expect('unicode key', $client->set('grüße-☃', 'v'), 1);
    expect('get unicode key', $client->get('grüße-☃'), 'v');
    expect('odd key', $client->set(q(!"$%&/()=?{[]}\'#+*~<>|;:,._-^), 'odd'), 1);
    expect('get odd key', $client->get(q(!"$%&/()=?{[]}\'#+*~<>|;:,._-^)), 'odd');
    expect('large', $client->set('large', 'x' x (1048576 - 300)), 1);
    expect('get large', length $client->get('large'), 1048576 - 300);
    my $large = $client->set('large', 'x' x 1048577);
    expect('too large', defined $large ? "$large" : undef, undef);
    expect('too large takes the old value away', $client->get('large'), undef);
    my $space = client(namespace => 'space:');
    expect('namespace', $space->namespace, 'space:');
    expect('set within', $space->set('k', 'within'), 1);
    expect('get many within', $space->get_multi('k'), { k => 'within' });
    expect('get from outside', $client->get('space:k'), 'within');
    my $ketama = client(ketama_points => 150, hash_namespace => 1, namespace => 'space:');
    expect('get with ketama', $ketama->get('k'), 'within');
}

sub server_facts {
    my ($client) = @_;
    my ($version) = values %{ $client->server_versions };
    expect('version', $version =~ /^\d+\.\d+/ ? 1 : 0, 1);
    $client->disconnect_all;
    expect('get behind a disconnect', $client->get('added'), 'b');
    expect('flush', [values %{ $client->flush_all }], [1]);
    expect('get flushed', $client->get_multi('added', 'k', 'many-5'), {});
    expect('set behind flush', $client->set('k', 'v'), 1);
    expect('get behind flush', $client->get('k'), 'v');
}

my $client = client();
storage($client);
cas($client);
counters($client);
many($client);
quiet($client);
values_of_every_kind($client);
expiry($client);
keys_and_sizes($client);
server_facts($client);
print "$steps steps, $faults faults\n";
exit($faults ? 1 : 0);
