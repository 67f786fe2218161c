/*
 * Leases, acknowledgements, promises and evictions: who may serve, and when.
 *
 * README.md says what is abstracted and what is not covered; check.sh runs
 * every case. The property is the assertion in Monitor: two nodes never serve
 * at the same moment of real time.
 *
 * How to read it
 *  - Every step is atomic and every process is one loop of guarded steps, so
 *    the whole state is in the globals and any interleaving is tried. Nothing
 *    is fair: a process that takes no step for ever is frozen, dead or cut off.
 *  - Time is real time in ticks. All timers are "ticks left" and are counted
 *    down by Clock alone. Where a rule depends on somebody's clock, the constant
 *    is the worst case that the drift allows (see HOLD and WAIT).
 *  - The network is what has been sent: a message may be received never, later,
 *    or again, in any order, as long as it still has any worth.
 *
 * Node A (0) is the holder whose lease is followed. Node B (1) takes over. With
 * HOLDERS 1, B serves whenever the register names it, as if it always had a
 * lease; with HOLDERS 2 it needs its own, by the same rules.
 *
 * -DBROKEN_... removes one rule. -DREACH_... asserts that something never
 * happens which must be possible. Both must be refuted.
 */

/* check.sh -trace tells a counterexample step by step. */
#ifdef STORY
#define SAY(...) printf(__VA_ARGS__);
#else
#define SAY(...)
#endif
#define NAME(v) (65 + (v))

#ifndef HOLDERS
#define HOLDERS 1
#endif
#ifndef VOTERS
#define VOTERS 3          /* A, B, C and, in the changes of voters, D */
#endif
#ifndef BOOTS
#define BOOTS 3           /* generations 1..BOOTS of each holder */
#endif

/*
 * Durations. A lease of duration D lasts, in real time, at most HOLD ticks from
 * the sending of the heartbeat: D by the slowest clock. A voter's D + margin
 * takes at least WAIT(HOLD) ticks: by the fastest clock. Faster holders and
 * slower voters are covered because both waits may end later for no reason and
 * because serving less breaks nothing. The margin is exactly what makes the two
 * meet; without it the fastest clock counts one tick less.
 */
#ifndef HOLD_LONG
#define HOLD_LONG 2
#endif
#ifndef HOLD_SHORT
#define HOLD_SHORT HOLD_LONG
#endif
#ifdef BROKEN_NO_MARGIN
#define WAIT(d) ((d) - 1)
#else
#define WAIT(d) (d)
#endif

/*
 * The agreed log, as far as it changes the rules. Each LOG is a script of
 * commands that may or may not commit, in this order. KIND(i) is command i,
 * and CONF(i), GRANT(i) and CEILING(i) are what holds after i of them: the
 * configuration, the duration that acknowledgements grant, and the largest that
 * may be outstanding.
 */
#define JOINT  1          /* {A,B,C} -> both {A,B,C} and {A,B,D} */
#define LEAVE  2          /* -> {A,B,D} */
#define LOWER  3          /* grant HOLD_SHORT from now on */
#define SETTLE 4          /* nothing longer is outstanding any more */
#define RAISE  5          /* grant HOLD_LONG, which may be outstanding at once */

#define LOG_NONE 0
#define LOG_JOINT 1       /* JOINT LEAVE */
#define LOG_LOWER 2       /* LOWER SETTLE */
#define LOG_BOTH 3        /* LOWER JOINT LEAVE SETTLE */
#define LOG_SINGLE 4      /* the same, but {A,B,C} -> {A,B,C,D} -> {A,B,D} */
#define LOG_RAISE 5       /* RAISE */
#ifndef LOG
#define LOG LOG_NONE
#endif

#if LOG == LOG_NONE
#define LEN 0
#define KIND(i)    0
#define CONF(i)    0
#define GRANT(i)   HOLD_LONG
#define CEILING(i) HOLD_LONG
#elif LOG == LOG_JOINT || LOG == LOG_SINGLE
#define LEN 2
#define KIND(i)    (i)
#define CONF(i)    (i)
#define GRANT(i)   HOLD_LONG
#define CEILING(i) HOLD_LONG
#elif LOG == LOG_RAISE
#define LEN 1
#define KIND(i)    RAISE
#define CONF(i)    0
#define GRANT(i)   ((i) >= 1 -> HOLD_LONG : HOLD_SHORT)
#define CEILING(i) GRANT(i)
#elif LOG == LOG_LOWER
#define LEN 2
#define KIND(i)    ((i) + 2)
#define CONF(i)    0
#define GRANT(i)   ((i) >= 1 -> HOLD_SHORT : HOLD_LONG)
#define CEILING(i) ((i) >= 2 -> HOLD_SHORT : HOLD_LONG)
#else
#define LEN 4
#define KIND(i)    ((i) == 1 -> LOWER : ((i) == 4 -> SETTLE : (i) - 1))
#define CONF(i)    ((i) <= 1 -> 0 : ((i) == 2 -> 1 : 2))
#define GRANT(i)   ((i) >= 1 -> HOLD_SHORT : HOLD_LONG)
#define CEILING(i) ((i) >= 4 -> HOLD_SHORT : HOLD_LONG)
#endif

/* Majorities. Predicate p(v) is asked of each voter of configuration c. */
#define two(a, b, c) (((a) && (b)) || ((a) && (c)) || ((b) && (c)))
#define three(a, b, c, d) ((two(a, b, c) && (d)) || ((a) && (b) && (c)))
#define NEW(p) two(p(0), p(1), p(VOTERS - 1))
#define OLD(p) two(p(0), p(1), p(2))
#if LOG == LOG_NONE || LOG == LOG_LOWER || LOG == LOG_RAISE
#define MAJORITY(c, p) OLD(p)
#elif LOG == LOG_SINGLE
#define MAJORITY(c, p) \
	((c) == 0 -> OLD(p) : ((c) == 1 -> three(p(0), p(1), p(2), p(3)) : NEW(p)))
#else
#define MAJORITY(c, p) \
	((c) == 0 -> OLD(p) : ((c) == 1 -> (OLD(p) && NEW(p)) : NEW(p)))
#endif
#define EVERY(c, p) \
	(p(0) && p(1) && ((c) == 2 || p(2)) && ((c) == 0 || p(VOTERS - 1)))
#define MEMBER(c, v) \
	((v) < 2 || ((v) == 2 && (c) < 2) || ((v) == 3 && (c) > 0))

/* ---- The agreed register. Only steps of Register change it. ---- */
#define NOBODY 2
#ifdef EARLIER
byte owner = 0;           /* A has been serving before the story begins */
#else
byte owner = NOBODY;      /* who owns the hierarchy: A, B or NOBODY */
#endif
byte gen[HOLDERS] = 1;    /* current generation of each holder */
bit  evicted[HOLDERS];    /* that generation is evicted */
byte evictedAt[HOLDERS];  /* commands of LOG that committed before the Evict */
byte committed;           /* commands of LOG that are committed */

/* ---- Proposals that are under way ---- */
bit  evict[HOLDERS];      /* Evict(x, evictGen, evictConf), with its promises */
byte evictGen[HOLDERS];
byte evictConf[HOLDERS];
byte stopped[HOLDERS];    /* Stopped(x, epoch): GONE when the epoch is past */
#define PENDING 1
#define GONE 2
byte late[HOLDERS];       /* Admit(x, late -> late+1) of a boot that is dead */

/* ---- Holders: x is node x, which is also voter x ---- */
#define DOWN 0            /* all stopped; the new boot hasn't proposed Admit */
#define ASKING 1          /* Admit(x, asked -> asked+1) is proposed */
#define UP 2
byte boot[HOLDERS] = UP;
byte asked[HOLDERS];
#ifdef EARLIER
byte since[HOLDERS] = HOLD_LONG; /* ticks since heartbeats of this boot began */
#else
byte since[HOLDERS];
#endif
bit  offered[HOLDERS];    /* an Assign for this generation is yet to be applied */
#ifdef EARLIER
bit  mine[HOLDERS] = 1;
#else
bit  mine[HOLDERS];       /* in service, as far as the node goes */
#endif

/* ---- Between holder and voter: index at(x, v) ---- */
#define at(x, v) ((x) * VOTERS + (v))
byte ack[HOLDERS * VOTERS];    /* worth of v's newest ack under way, in ticks */
byte ackConf[HOLDERS * VOTERS];/* the configuration that it names */
byte got[HOLDERS * VOTERS];    /* worth of v's acks in x's hands */
byte quiet[HOLDERS * VOTERS];  /* ticks until v's last ack is certainly over */
byte promise[HOLDERS * VOTERS];/* durable: 1 + configuration, 0 none */

/* ---- Voters ---- */
byte wait[VOTERS];        /* ticks left after (re)start or a configuration */
#if BOOTS == 1 && HOLDERS == 1
/* With one holder of one generation both waits concern the same thing, and
 * one counter does for the longer of them. */
#define WAITFOR(v, t) quiet[v] = (quiet[v] > (t) -> quiet[v] : (t))
#else
#define WAITFOR(v, t) wait[v] = (t)
#endif
byte applied[VOTERS];     /* commands of LOG that are applied, durably */

byte settle;              /* leader: ticks until nothing longer is outstanding */
bit  settling;

#ifdef GATE
byte gate;                /* ticks until A's gate closes by itself */
byte setting;             /* A worked out this much, and hasn't set it yet */
#endif

/* The longest that may be outstanding, as far as voter v knows. */
#ifdef BROKEN_NO_CEILING
#define LONGEST(v) GRANT(applied[v])
#else
#define LONGEST(v) CEILING(applied[v])
#endif

/* ---- Who serves ---- */
#define CONFOF(v) CONF(applied[v])
#define holds0(v) (got[at(0, v)] > 0)
#define holds1(v) (got[at(1, v)] > 0)
#define LEASE0 MAJORITY(CONFOF(0), holds0)
#define LEASE1 MAJORITY(CONFOF(1), holds1)

#ifdef GATE
#define holdsTwo(v) (got[at(0, v)] > 1)
#define LEASELEFT (MAJORITY(CONFOF(0), holdsTwo) -> 2 : (LEASE0 -> 1 : 0))
#define SERVES0 (mine[0] && gate > 0)
#else
#define SERVES0 (mine[0] && LEASE0)
#endif
#if HOLDERS == 1
#define SERVES1 (owner == 1)
#else
#define SERVES1 (mine[1] && LEASE1)
#endif

#define lower(t) t = ((t) > 0 -> (t) - 1 : 0)

/* ======================= Voters: _pid is the voter ======================= */

/* Whoever has applied a later command has applied the Evict before it. A new
 * voter has promised nothing; it is the Evict that binds it. */
#if LEN == 0 || defined(BROKEN_ACK_EVICTED)
#define KNOWSEVICTED(x, v) false
#else
#define KNOWSEVICTED(x, v) (evicted[x] && applied[v] > evictedAt[x])
#endif
#ifdef BROKEN_ACK_AFTER_PROMISE
#define MAYACK(x, v) true
#else
#define MAYACK(x, v) (promise[at(x, v)] == 0 && !KNOWSEVICTED(x, v))
#endif

#define WORTH(v, a) (GRANT(applied[v]) > (a) -> GRANT(applied[v]) - (a) : 0)

#ifdef PROMPT
/* An ack that x can use now is received now or never: receiving it later would
 * only make the lease shorter. */
#define SENDACK(x, v, n) \
	if \
	:: SAMECONF(x, v, CONFOF(v)) -> got[at(x, v)] = n \
	:: else -> ack[at(x, v)] = n; ackConf[at(x, v)] = CONFOF(v) \
	fi
#else
#define SENDACK(x, v, n) ack[at(x, v)] = n; ackConf[at(x, v)] = CONFOF(v)
#endif
#ifdef BROKEN_ACK_WITHOUT_CONFIG
#define SAMECONF(x, v, c) true
#define USABLE(x, c) true
#else
#define SAMECONF(x, v, c) ((c) == CONFOF(x))
#define USABLE(x, c) ((c) >= CONFOF(x))
#endif

/* Heartbeat of age a, sent by x's present boot, reaches v. Only an ack that is
 * worth more than what x has, or has under way, is a step: older ones would
 * only make v wait longer. */
#define HEARTBEAT(x, v, a) \
	:: d_step { boot[x] == UP && since[x] >= a && MAYACK(x, v) && \
	            MEMBER(CONFOF(v), v) && WORTH(v, a) > 0 && \
	            USABLE(x, CONFOF(v)) && \
	            (WORTH(v, a) > ack[at(x, v)] || ackConf[at(x, v)] != CONFOF(v)) && \
	            (WORTH(v, a) > got[at(x, v)] || CONFOF(x) != CONFOF(v)) -> \
		SAY("%c acks %c's heartbeat of %d ticks ago: configuration %d, worth %d\n", \
			NAME(v), NAME(x), a, CONFOF(v), WORTH(v, a)) \
		SENDACK(x, v, WORTH(v, a)); \
		quiet[at(x, v)] = (WAIT(GRANT(applied[v])) > quiet[at(x, v)] -> \
			WAIT(GRANT(applied[v])) : quiet[at(x, v)]) }

/* A promise names the configuration; one under an older configuration is
 * repeated after the wait that the new one asks for. Promises that nobody can
 * count any more only forbid acks, so they are no step. */
#define PROMISE(x, v) \
	:: d_step { quiet[at(x, v)] == 0 && wait[v] == 0 && !evicted[x] && \
	            CONFOF(v) == CONF(committed) && \
	            MEMBER(CONFOF(v), v) && promise[at(x, v)] != 1 + CONFOF(v) -> \
		SAY("%c promises never to ack %c again: configuration %d\n", NAME(v), NAME(x), CONFOF(v)) \
		promise[at(x, v)] = 1 + CONFOF(v) }

#if HOLDERS == 1
#define REMEMBERS (quiet[_pid] > 0 || FORGOTTEN(0, _pid))
#else
#define REMEMBERS (quiet[_pid] > 0 || quiet[at(1, _pid)] > 0 || FORGOTTEN(0, _pid))
#endif
#ifdef BROKEN_APPLIED_FORGOTTEN
#define KEPT false
#else
#define KEPT true
#endif
#ifdef BROKEN_PROMISE_FORGOTTEN
#define FORGOTTEN(x, v) (promise[at(x, v)] > 0)
#else
#define FORGOTTEN(x, v) false
#endif
#ifdef BROKEN_PROMISE_FORGOTTEN
#define FORGET(x, v) quiet[at(x, v)] = 0; promise[at(x, v)] = 0
#else
#define FORGET(x, v) quiet[at(x, v)] = 0
#endif

active [VOTERS] proctype Voter()
{
	do
	HEARTBEAT(0, _pid, 0)
	HEARTBEAT(0, _pid, 1)
#if HOLD_LONG > 2
	HEARTBEAT(0, _pid, 2)
#endif
	PROMISE(0, _pid)
#if HOLDERS == 2
	HEARTBEAT(1, _pid, 0)
#if HOLD_LONG > 1
	HEARTBEAT(1, _pid, 1)
#endif
	PROMISE(1, _pid)
#endif

#ifndef NO_RESTARTS
	/* Crash and restart, of the process or of the machine: what it
	 * acknowledged and when is forgotten. With nothing to forget, a restart
	 * would only make it wait. */
	:: d_step { REMEMBERS ->
		SAY("voter %c restarts\n", NAME(_pid))
		FORGET(0, _pid);
#if HOLDERS == 2
		FORGET(1, _pid);
#endif
#ifndef BROKEN_NO_RESTART_WAIT
		WAITFOR(_pid, WAIT(LONGEST(_pid)))
#endif
	   }
#ifdef BROKEN_APPLIED_FORGOTTEN
	/* The restart finds that less is known to be committed than before. */
	:: d_step { applied[_pid] > 0 ->
		SAY("voter %c restarts and forgets its last command\n", NAME(_pid))
		applied[_pid]--;
		FORGET(0, _pid);
		WAITFOR(_pid, WAIT(LONGEST(_pid))) }
#endif
#endif

#if LEN > 0
	/* Apply the next command. Acks of the old configuration stay under way. */
	:: d_step { applied[_pid] < committed ->
		applied[_pid]++;
		SAY("%c applies command %d: configuration %d, grants %d\n",
			NAME(_pid), applied[_pid], CONFOF(_pid), GRANT(applied[_pid]))
		if
		:: CONFOF(_pid) != CONF(applied[_pid] - 1) ->
#ifndef BROKEN_NO_CONFIG_WAIT
			WAITFOR(_pid, WAIT(LONGEST(_pid)));
#endif
#ifndef BROKEN_ACK_WITHOUT_CONFIG
			if
			:: _pid == 0 ->
				got[0] = 0; got[1] = 0; got[2] = 0;
#if VOTERS == 4
				got[3] = 0
#endif
			:: else
			fi
#endif
		:: else
		fi;
		/* Who is no voter any more never acks again. */
		if
		:: !MEMBER(CONFOF(_pid), _pid) && KEPT -> quiet[_pid] = 0; promise[_pid] = 0
		:: else
		fi }
#endif
	od
}

/* ======================= Holders ======================= */

#ifdef BROKEN_LEASE_FROM_RECEIPT
#define RECEIVED(x, v) HOLD_LONG
#elif defined(BROKEN_ACK_WITHOUT_DURATION)
/* x counts the duration that it knows of itself. */
#define RECEIVED(x, v) (ack[at(x, v)] + GRANT(applied[x]) - GRANT(applied[v]))
#else
#define RECEIVED(x, v) ack[at(x, v)]
#endif

/* An ack reaches x. It need not stay under way: once it was received, receiving
 * it again changes nothing. */
#define ACK(x, v) \
	:: d_step { boot[x] == UP && ack[at(x, v)] > 0 && SAMECONF(x, v, ackConf[at(x, v)]) -> \
		SAY("%c receives %c's ack, worth %d\n", NAME(x), NAME(v), RECEIVED(x, v)) \
		got[at(x, v)] = (RECEIVED(x, v) > got[at(x, v)] -> \
			RECEIVED(x, v) : got[at(x, v)]); \
		ack[at(x, v)] = 0; ackConf[at(x, v)] = 0 }

#define DROP(x, v) \
	ack[at(x, v)] = 0; ackConf[at(x, v)] = 0; got[at(x, v)] = 0

#ifdef BROKEN_ADMIT_RUNNING
#define STOPALL(x) skip
#else
#define STOPALL(x) mine[x] = 0
#endif
#ifdef BROKEN_OLD_ASSIGN
#define DROPOFFER(x) skip
#else
#define DROPOFFER(x) offered[x] = 0
#endif

#ifdef NO_LATE
#define LATE false
#else
#define LATE true
#endif

#define x (_pid - VOTERS)

active [HOLDERS] proctype Holder()
{
	do
	ACK(x, 0)
	ACK(x, 1)
	ACK(x, 2)
#if VOTERS == 4
	ACK(x, 3)
#endif
	/* Apply an Assign of its own generation, perhaps long after it committed.
	 * It is applied once: what was given back starts again only by another. */
	:: d_step { offered[x] && boot[x] == UP ->
		SAY("%c applies its Assign and starts\n", NAME(x))
		mine[x] = 1; offered[x] = 0 }
#ifdef BROKEN_START_AFTER_STOPPED
	:: d_step { stopped[x] == PENDING && boot[x] == UP ->
		SAY("%c starts again what it proposed as Stopped\n", NAME(x))
		mine[x] = 1 }
#endif
#ifndef NO_STOPS
	/* Out of service, then propose Stopped for this epoch. */
	:: d_step { mine[x] && stopped[x] == 0 && boot[x] == UP ->
		SAY("%c stops and proposes Stopped\n", NAME(x))
		mine[x] = 0; stopped[x] = PENDING }
#endif
#if BOOTS > 1
	/* The boot ends. Its proposal, if any, may still commit. The next boot
	 * begins when everything of this one is stopped. */
	:: d_step { boot[x] != DOWN ->
		SAY("this boot of %c ends\n", NAME(x))
		if
		:: boot[x] == ASKING && LATE -> late[x] = asked[x]
		:: else
		fi;
		boot[x] = DOWN; asked[x] = 0; since[x] = 0;
		STOPALL(x); DROPOFFER(x);
#ifdef GATE
		gate = 0; setting = 0;
#endif
#ifndef BROKEN_ADMIT_RUNNING
		DROP(x, 0); DROP(x, 1); DROP(x, 2)
#if VOTERS == 4
		; DROP(x, 3)
#endif
#endif
	   }
	:: d_step { boot[x] == DOWN && gen[x] < BOOTS ->
		SAY("a new boot of %c proposes Admit %d -> %d\n", NAME(x), gen[x], gen[x] + 1)
		boot[x] = ASKING; asked[x] = gen[x] }
	/* Its proposal came too late: another boot's was first. Ask again. */
	:: d_step { boot[x] == ASKING && asked[x] != gen[x] ->
		boot[x] = DOWN; asked[x] = 0 }
#endif

#ifdef GATE
	/* Work out how long the lease still lives, then tell the kernel. The
	 * process may be frozen in between. */
	:: d_step { LEASELEFT > setting ->
		SAY("%c works out that its lease lives for %d ticks\n", NAME(x), LEASELEFT)
		setting = LEASELEFT }
	:: d_step { setting > gate ->
		SAY("%c's gate is set to close in %d ticks\n", NAME(x), setting)
		gate = setting; setting = 0 }
#endif
	od
}

#undef x

/* ======================= The register ======================= */

#define promised(x, v) (promise[at(x, v)] == 1 + CONF(committed))
#ifdef BROKEN_PROMISE_ANY_CONFIG
#define promised0(v) (promise[at(0, v)] > 0)
#define promised1(v) (promise[at(1, v)] > 0)
#else
#define promised0(v) promised(0, v)
#define promised1(v) promised(1, v)
#endif
#ifdef BROKEN_MINORITY
#define ENOUGH(x) (promised##x(0) || promised##x(1) || promised##x(2))
#else
#define ENOUGH(x) MAJORITY(CONF(committed), promised##x)
#endif

#ifdef BROKEN_EVICT_ANY_GENERATION
#define SAMEGEN(x) true
#else
#define SAMEGEN(x) (evictGen[x] == gen[x])
#endif
#ifdef BROKEN_EVICT_ANY_CONFIG
#define EVICTCONF(x) true
#else
#define EVICTCONF(x) (evictConf[x] == CONF(committed))
#endif

/* Ownership leaves x: proposals about that epoch are void from here on. */
#define LEAVES(x) \
	if :: owner == x -> owner = NOBODY :: else fi; \
	if :: stopped[x] == PENDING -> stopped[x] = GONE :: else fi

/* Generation gen+1 begins. Promises and acks name the old one. */
#define NEXTGEN(x) \
	gen[x]++; evicted[x] = 0; evictedAt[x] = 0; DROPOFFER(x); LEAVES(x); \
	NAMESOLD(x, 0); NAMESOLD(x, 1); NAMESOLD(x, 2); NAMESOLD(x, VOTERS - 1)
#define NAMESOLD(x, v) quiet[at(x, v)] = 0; promise[at(x, v)] = 0

#ifdef BROKEN_ADMIT_UNCONDITIONAL
#define ADMISSIBLE(x, g) (gen[x] < BOOTS)
#else
#define ADMISSIBLE(x, g) ((g) == gen[x])
#endif

#define EVICT(x) \
	:: d_step { !evict[x] && !evicted[x] && ENOUGH(x) -> \
		SAY("Evict %c, generation %d, configuration %d, is proposed\n", \
			NAME(x), gen[x], CONF(committed)) \
		evict[x] = 1; evictGen[x] = gen[x]; evictConf[x] = CONF(committed) } \
	:: d_step { evict[x] -> \
		if \
		:: SAMEGEN(x) && EVICTCONF(x) -> \
			SAY("Evict %c applies: generation is %d, configuration is %d\n", \
				NAME(x), gen[x], CONF(committed)) \
			evicted[x] = 1; evictedAt[x] = committed; LEAVES(x) \
		:: else \
		fi; \
		evict[x] = 0; evictGen[x] = 0; evictConf[x] = 0 }

#define ASSIGN(x) \
	:: d_step { owner == NOBODY && !evicted[x] -> \
		SAY("Assign to %c, generation %d, commits\n", NAME(x), gen[x]) \
		owner = x; offered[x] = 1 }

#define STOPPED(x) \
	:: d_step { stopped[x] == PENDING && owner == x -> \
		SAY("Stopped of %c commits\n", NAME(x)) \
		owner = NOBODY; stopped[x] = 0 } \
	:: d_step { stopped[x] == GONE -> \
		SAY("Stopped of %c commits; its epoch is past\n", NAME(x)) \
		VOIDSTOPPED; stopped[x] = 0 }
#ifdef BROKEN_STOPPED_ANY_EPOCH
#define VOIDSTOPPED owner = NOBODY
#else
#define VOIDSTOPPED skip
#endif

#define ADMIT(x) \
	:: d_step { boot[x] == ASKING && ADMISSIBLE(x, asked[x]) -> \
		SAY("Admit %c commits: generation %d\n", NAME(x), gen[x] + 1) \
		NEXTGEN(x); boot[x] = UP; asked[x] = 0; since[x] = 0 } \
	:: d_step { late[x] > 0 -> \
		if \
		:: ADMISSIBLE(x, late[x]) -> \
			SAY("the Admit of a dead boot of %c commits: generation %d\n", NAME(x), gen[x] + 1) \
			NEXTGEN(x) \
		:: else \
		fi; \
		late[x] = 0 }

#define caughtUp(v) (applied[v] >= committed)
#ifdef BROKEN_NO_CHAIN
#define CHAIN true
#else
#define CHAIN MAJORITY(CONF(committed), caughtUp)
#endif
#ifdef BROKEN_SETTLE_BY_MAJORITY
#define ALLKNOW MAJORITY(CONF(committed), caughtUp)
#else
#define ALLKNOW EVERY(CONF(committed), caughtUp)
#endif

/* A promise under a configuration that is past counts no more; one mark does
 * for all of them. */
#define PAST(v) promise[v] = (promise[v] > 1 -> 1 : promise[v])

active proctype Register()
{
	do
	EVICT(0)
	ASSIGN(0)
	STOPPED(0)
#if BOOTS > 1
	ADMIT(0)
#endif
#if HOLDERS == 2
	EVICT(1)
	ASSIGN(1)
	STOPPED(1)
#if BOOTS > 1
	ADMIT(1)
#endif
#else
	:: d_step { owner == NOBODY ->
		SAY("Assign to B commits, and B serves\n")
		owner = 1 }
#ifndef NO_STOPS
	:: d_step { owner == 1 ->
		SAY("B stops, and its Stopped commits\n")
		owner = NOBODY }
#endif
#endif

#if LEN > 0
	/* A configuration may commit only when a majority of the one before has
	 * applied that one: so nobody can hold a lease under one older still. */
	:: d_step { committed < LEN && KIND(committed + 1) <= LEAVE && CHAIN ->
		SAY("command %d commits: configuration %d\n", committed + 1, CONF(committed + 1))
		committed++; settling = 0; settle = 0;
		PAST(0); PAST(1); PAST(2); PAST(VOTERS - 1) }
	:: d_step { committed < LEN && 
	            (KIND(committed + 1) == LOWER || KIND(committed + 1) == RAISE) ->
		SAY("command %d commits: grant %d\n", committed + 1, GRANT(committed + 1))
		committed++ }
	/* All voters grant the shorter duration: count from now, under this
	 * configuration, until the longer ones are over. */
	:: d_step { committed < LEN && KIND(committed + 1) == SETTLE && !settling && ALLKNOW ->
		SAY("the leader counts until the longer grants are over\n")
		settling = 1; settle = WAIT(HOLD_LONG) }
	:: d_step { committed < LEN && KIND(committed + 1) == SETTLE && settling && settle == 0 ->
		SAY("command %d commits: the ceiling is %d\n", committed + 1, CEILING(committed + 1))
		committed++; settling = 0 }
#endif
	od
}

/* ======================= Real time ======================= */

#ifdef BROKEN_LEASE_FROM_RECEIPT
#define AGE(x, v) lower(got[at(x, v)]); lower(quiet[at(x, v)])
#else
#define AGE(x, v) lower(ack[at(x, v)]); lower(got[at(x, v)]); lower(quiet[at(x, v)]); \
	if :: ack[at(x, v)] == 0 || !USABLE(x, ackConf[at(x, v)]) -> ack[at(x, v)] = 0; ackConf[at(x, v)] = 0 :: else fi
#endif
#define AGEHOLDER(x) \
	AGE(x, 0); AGE(x, 1); AGE(x, 2); AGEFOURTH(x); \
	if :: boot[x] == UP && since[x] < HOLD_LONG - 1 -> since[x]++ :: else fi
#if VOTERS == 4
#define AGEFOURTH(x) AGE(x, 3)
#else
#define AGEFOURTH(x) skip
#endif

active proctype Clock()
{
	do
	:: d_step { true ->
		SAY("-- tick --\n")
		AGEHOLDER(0);
#if HOLDERS == 2
		AGEHOLDER(1);
#endif
		lower(wait[0]); lower(wait[1]); lower(wait[2]);
#if VOTERS == 4
		lower(wait[3]);
#endif
#ifdef GATE
		lower(gate);
#ifndef BROKEN_RELATIVE_GATE
		lower(setting);
#endif
#endif
		lower(settle) }
	od
}

/* ======================= What must hold ======================= */

#if defined(REACH_TAKEOVER)
#define WRONG (evicted[0] && SERVES1 && committed == LEN)
#elif defined(REACH_RETURN)
#define WRONG (SERVES0 && gen[0] == BOOTS && committed == LEN && applied[0] == LEN)
#elif defined(REACH_ROUND)
/* A was evicted and came back, B took over and was evicted as well. */
#define WRONG (SERVES0 && gen[0] == 2 && evicted[1])
#elif defined(REACH_OLD_LEASE)
/* A still serves under a configuration that the agreed log has left. */
#define WRONG (SERVES0 && CONFOF(0) == 0 && CONF(committed) == 1)
#else
#define WRONG (SERVES0 && SERVES1)
#endif

active proctype Monitor()
{
	d_step { WRONG ->
		SAY("A and B: here is what must not be\n")
		assert(false) }
}
