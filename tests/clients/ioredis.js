'use strict';
// ioredis as people use it. Arguments: the port.
const Redis = require('ioredis');
const { BYTES, TEXT, run, failure } = require('./script');

const redis = new Redis({ port: Number(process.argv[2]), db: 2, connectionName: 'shop-7' });
redis.on('error', () => {}); // a connection lost while the server restarts

async function before() {
    await redis.set('text', TEXT);
    await redis.set(BYTES, BYTES, 'EX', 100);
    const pipeline = redis.pipeline();
    for (let i = 0; i < 1000; i++) pipeline.incr('counter');
    pipeline.incr('text');
    const replies = await pipeline.exec();
    const many = await Promise.all(Array.from({ length: 1000 }, async (_, i) => {
        await redis.set(`many:${i}`, i);
        return redis.get(`many:${i}`);
    }));
    return {
        text: await redis.get('text'),
        bytes: (await redis.getBuffer(BYTES)).equals(BYTES),
        ttl: await redis.ttl(BYTES),
        missing: await redis.get('missing'),
        mget: await redis.mget('text', 'missing', 'counter'),
        pipelined: replies.slice(0, 1000).every(([error, value], i) => error === null && value === i + 1),
        pipelineError: replies[1000][0].message,
        many: many.every((value, i) => value === String(i)),
        error: await failure(redis.incr('text'), Redis.ReplyError),
        unknown: await failure(redis.call('nosuch', 'x'), Redis.ReplyError),
        name: await redis.client('GETNAME'),
        info: /redis_version:7/.test(await redis.info('server')),
        scanned: (await scanAll()).length,
    };
}

async function scanAll() {
    const keys = [];
    for await (const part of redis.scanStream({ match: 'many:*', count: 50 })) keys.push(...part);
    return [...new Set(keys)];
}

async function after() {
    await redis.set('again', 'yes');
    const found = {
        again: await redis.get('again'),
        name: await redis.client('GETNAME'),
        text: await redis.get('text'),
    };
    await redis.quit();
    return found;
}

run(before, after);
