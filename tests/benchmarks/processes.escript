#!/usr/bin/env escript
%% Prints the microseconds to start a process, to send it a message, until the last one is handled,
%% and to ask one. The argument says how many.
-mode(compile).

main([Word]) ->
    Count = list_to_integer(Word),
    One = spawn(fun loop/0),
    ask(One, Count div 10),
    Spawn = each(Count, fun() -> [spawn(fun loop/0) || _ <- lists:seq(1, Count)] end),
    Tell = each(Count, fun() -> tell(One, Count), ask(One, 1) end),
    Ask = each(Count, fun() -> ask(One, Count) end),
    io:format("~p ~p ~p~n", [Spawn, Tell, Ask]).

each(Count, Run) ->
    {Time, _} = timer:tc(Run),
    Time / Count.

loop() ->
    receive
        {ask, From, Message} -> From ! {answer, Message}, loop();
        {tell, _} -> loop()
    end.

tell(_, 0) -> ok;
tell(To, Count) -> To ! {tell, Count}, tell(To, Count - 1).

ask(_, 0) -> ok;
ask(To, Count) ->
    To ! {ask, self(), Count},
    receive {answer, Count} -> ask(To, Count - 1) end.
