"""A worker is killed after the mail server took an email and before it recorded that."""

import signal
from threading import Event

from sqlalchemy import func, select, update

from portal.base_app import create_base_app
from portal.config.settings import load_settings
from portal.extensions import db
from portal.lib.clock import utcnow
from portal.models.mails import Mail
from portal.queue import notifier
from portal.queue.names import BACKGROUND
from portal.services.core.unit_of_work import writing
from portal.services.mail import sample_mail
from tests.jobs.worker.conftest import Start
from tests.support.factories import make_user
from tests.support.mail_server import MailServer, Session
from tests.support.processes import until


def test_the_next_worker_sends_the_email_once_more(start: Start, environ: dict[str, str]) -> None:
    is_over = Event()

    def take_and_say_nothing(talk: Session) -> None:
        talk._say("354 go on")
        talk._keep("")
        is_over.wait(20)

    with MailServer() as server:
        environ["SMTP_URL"] = server.url
        app = create_base_app(load_settings(environ))
        notifier.init_app(app)
        with app.app_context():
            server.odd_answers["DATA"] = take_and_say_nothing
            sample_mail.start(make_user().actor)
            killed = start("-m", "jobs", "worker", BACKGROUND)
            assert until(lambda: len(server.messages) == 1), killed.output.read_text()
            killed.stop(signal.SIGKILL)
            is_over.set()
            server.odd_answers.clear()
            with writing() as current:  # skip the minute until the worker counts as dead
                current.execute(update(Mail).values(due_at=utcnow()))
            start("-m", "jobs", "worker", BACKGROUND)

            def is_sent() -> bool:
                db.session.rollback()
                return bool(db.session.scalar(select(func.count(Mail.sent_at))))

            assert until(is_sent)
            db.session.remove()
            db.engine.dispose()
    assert len(server.messages) == 2
    assert len({str(message["Message-ID"]) for message in server.messages}) == 1
