// What a team would write by hand: three calls at the same time over connections that are kept, one JSON object of their answers.
import http from 'node:http';

const agent = new http.Agent({ keepAlive: true, maxSockets: 256 });

function ask(port, path) {
  return new Promise((resolve, reject) => {
    const request = http.get({ host: '127.0.0.1', port, path, agent }, (answer) => {
      const parts = [];
      answer.on('data', (part) => parts.push(part));
      answer.on('end', () => {
        try {
          resolve(JSON.parse(Buffer.concat(parts).toString()));
        } catch (error) {
          reject(error);
        }
      });
      answer.on('error', reject);
    });
    request.on('error', reject);
  });
}

async function three(port) {
  const [user, orders, payments] = await Promise.all(
    ['/users/1', '/users/2', '/users/3'].map((path) => ask(port, path)),
  );
  return { user, orders, payments };
}

const server = http.createServer(async (request, response) => {
  const port = { '/composed': {{ORIGIN}}, '/slow': {{SLOW}} }[request.url];
  try {
    const body = JSON.stringify(port === undefined ? {} : await three(port));
    response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) });
    response.end(body);
  } catch {
    response.writeHead(502).end();
  }
});
server.keepAliveTimeout = 600_000;
server.listen({{PORT}}, '127.0.0.1');
