"""One pass of resalloc's matching over machines and tickets in a new SQLite database: `MACHINES TICKETS`.

It prints the seconds of a pass in which no machine suits any ticket, and of one in which every machine is given away. Run from a
checkout of resalloc, with its requirements installed.
"""

import os
import sys
import tempfile
import time

TAGS = 13  # of each machine, as Copr's have


def main(machines, tickets):
    with tempfile.TemporaryDirectory() as place:
        os.environ["CONFIG_DIR"] = place
        with open(place + "/server.yaml", "w", encoding="utf-8") as settings:
            settings.write("db_url: sqlite:///%s/db\nlogdir: %s\nloglevel: error\n" % (place, place))
        with open(place + "/pools.yaml", "w", encoding="utf-8") as pools:
            pools.write("{}\n")
        for wanted, given in (("other", 0), ("tag0", min(machines, tickets))):
            print(measure(machines, tickets, wanted, given), flush=True)


def measure(machines, tickets, wanted, given):
    """Seconds of a pass; every ticket wants that tag, and so many machines have to be given away by it."""
    from resallocserver import manager, models
    from resallocserver.app import app, session_scope

    models.Base.metadata.drop_all(app.engine)
    models.Base.metadata.create_all(app.engine)
    with session_scope() as session:
        for number in range(machines):
            machine = models.Resource(name="machine-%d" % number, pool="pool", state="UP", check_failed_count=0)
            machine.tags = [models.ResourceTag(id="tag%d" % tag, priority=0) for tag in range(TAGS)]
            session.add(machine)
        for _ in range(tickets):
            session.add(models.Ticket(state="OPEN", sandbox="owner", tags=[models.TicketTag(id=wanted)]))
    begun = time.monotonic()
    manager.Manager(None)._assign_tickets(manager.CrossPoolConfig(set()))
    took = time.monotonic() - begun
    with session_scope() as session:
        taken = session.query(models.Resource).filter(models.Resource.ticket_id.isnot(None)).count()
    if taken != given:
        sys.exit("%d machines were given away, and not %d" % (taken, given))
    return took


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
