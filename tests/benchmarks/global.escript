#!/usr/bin/env escript
%% Prints the microseconds (median) to take and give up a name on two nodes of Erlang.
main(_) ->
    os:cmd("epmd -daemon"),
    Name = list_to_atom("bench" ++ os:getpid()),
    {ok, _} = net_kernel:start([Name, shortnames]),
    {ok, _, Other} = peer:start(#{name => list_to_atom("other" ++ os:getpid())}),
    ok = global:sync(),
    2 = length([node(), Other]),
    Times = [once(N) || N <- lists:seq(1, 1000)],
    io:format("~p~n", [lists:nth(500, lists:sort(Times))]).

once(N) ->
    {Time, _} = timer:tc(fun() -> yes = global:register_name({bench, N}, self()) end),
    global:unregister_name({bench, N}),
    Time.
