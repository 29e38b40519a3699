'use strict';
// node-redis as people use it. Arguments: the port, the protocol (2 or 3).
const { createClient, ErrorReply, RESP_TYPES } = require('redis');
const { BYTES, TEXT, run, failure } = require('./script');

const [port, protocol] = process.argv.slice(2).map(Number);
const client = createClient({ url: `redis://127.0.0.1:${port}/2`, RESP: protocol, name: 'shop-7' });
client.on('error', () => {}); // a connection lost while the server restarts

async function before() {
    await client.connect();
    const raw = client.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
    await client.set('text', TEXT);
    await client.set(BYTES, BYTES, { expiration: { type: 'EX', value: 100 } });
    const pipeline = client.multi();
    for (let i = 0; i < 1000; i++) pipeline.incr('counter');
    const replies = await pipeline.execAsPipeline();
    const many = await Promise.all(Array.from({ length: 1000 }, async (_, i) => {
        await client.set(`many:${i}`, i.toString());
        return client.get(`many:${i}`);
    }));
    return {
        text: await client.get('text'),
        bytes: (await raw.get(BYTES)).equals(BYTES),
        ttl: await client.ttl(BYTES),
        missing: await client.get('missing'),
        mget: await client.mGet(['text', 'missing', 'counter']),
        pipelined: replies.every((value, i) => value === i + 1),
        pipelineError: (await failure(client.multi().incr('text').execAsPipeline(), Error)).message ? 'told' : 'lost',
        many: many.every((value, i) => value === String(i)),
        error: await failure(client.incr('text'), ErrorReply),
        unknown: await failure(client.sendCommand(['nosuch', 'x']), ErrorReply),
        name: await client.clientGetName(),
        info: /redis_version:7/.test(await client.info('server')),
        lib: (await client.clientInfo()).libName,
        config: await client.configGet('maxmemory'),
        scanned: (await scanAll()).length,
    };
}

async function scanAll() {
    const keys = [];
    for await (const part of client.scanIterator({ MATCH: 'many:*', COUNT: 50 })) keys.push(...part);
    return [...new Set(keys)];
}

async function after() {
    await client.ping().catch(() => client.ping()); // that the connection is lost may show only now
    await client.set('again', 'yes');
    const found = {
        again: await client.get('again'),
        name: await client.clientGetName(),
        text: await client.get('text'),
    };
    await client.close();
    return found;
}

run(before, after);
