// A real SMTP server for the tests, on a free port of this machine; tells each mail that it took as a line of JSON. "busy" in an address is refused for now.
import { SMTPServer } from 'smtp-server';

const server = new SMTPServer({
  authOptional: true, disabledCommands: ['STARTTLS'], allowInsecureAuth: true,
  onAuth: (auth, _, done) => (auth.username === 'coppice' && auth.password === 'p@ss word' ? done(null, { user: auth.username }) : done(new Error('unknown'))),
  onRcptTo: (address, _, done) => done(address.address.startsWith('busy') ? Object.assign(new Error('mailbox busy'), { responseCode: 450 }) : undefined),
  onData: (stream, session, done) => {
    const parts = [];
    stream.on('data', (part) => parts.push(part));
    stream.on('end', () => {
      console.log(JSON.stringify({ user: session.user ?? null, from: session.envelope.mailFrom.address, to: session.envelope.rcptTo.map((to) => to.address), text: Buffer.concat(parts).toString('utf8') }));
      done();
    });
  },
});
server.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ port: server.server.address().port })));
process.stdin.on('end', () => process.exit(0)).resume();
