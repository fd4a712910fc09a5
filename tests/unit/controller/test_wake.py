from controller.app import Wake


async def test_a_new_leader_follows_the_objectives_at_once_and_not_after_every_pass() -> None:
    wake = Wake()
    for epoch, follows in ((3, True), (3, False), (5, True)):
        wake.lead(epoch)
        assert wake.objectives.is_set() is follows
        wake.objectives.clear()
