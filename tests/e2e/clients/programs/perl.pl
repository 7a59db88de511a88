# Perl's own HTTP::Tiny.
use strict; use warnings; use HTTP::Tiny;
open my $mark, ">", $ENV{MARK} or die; close $mark;
my $path = $ENV{FAILS} ? "/fail" : "";
my $answer = HTTP::Tiny->new(timeout => $ENV{PATIENCE})->post(
    "$ENV{URL}/ping/a-key/perl$path", {content => "said by perl\n"});
exit($answer->{success} ? 0 : 7);
