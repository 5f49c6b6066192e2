package hub

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"caac-hub/hub/notify"
)

// metrics are the hub's, named caac_*. Labels are the words of the types.
type metrics struct {
	messages        *prometheus.CounterVec // outcome
	decisions       *prometheus.CounterVec // channel, reason
	ends            *prometheus.CounterVec // end, reason
	reachedNobody   *prometheus.CounterVec // cause
	deadlines       prometheus.Counter
	pushAnswers     *prometheus.CounterVec // host, class
	hosts           answerHosts
	receipts        *prometheus.CounterVec // kind, event
	drops           *prometheus.CounterVec // reason
	refusals        *prometheus.CounterVec // reason
	lettersLost     prometheus.Counter
	lettersMissed   prometheus.Counter
	callsUnanswered prometheus.Counter
	toFrame         prometheus.Histogram
	toPush          prometheus.Histogram
}

func newMetrics() *metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	buckets := []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300}
	return &metrics{
		hosts:           answerHosts{known: map[string]bool{}},
		messages:        counter("caac_messages_total", "Messages posted, by outcome.", "outcome"),
		decisions:       counter("caac_decisions_total", "Decisions, by channel and reason.", "channel", "reason"),
		ends:            counter("caac_deliveries_ended_total", "Deliveries that came to their end.", "end", "reason"),
		reachedNobody:   counter("caac_reached_nobody_total", "Messages that reached nobody, by the cause that held for most logins.", "cause"),
		deadlines:       prometheus.NewCounter(prometheus.CounterOpts{Name: "caac_deadlines_total", Help: "Confirmation deadlines settled."}),
		pushAnswers:     counter("caac_push_answers_total", "Answers of push services, by host and class.", "host", "class"),
		receipts:        counter("caac_receipts_total", "Receipts of service workers.", "kind", "event"),
		drops:           counter("caac_sockets_dropped_total", "Sockets the hub closed, by reason.", "reason"),
		refusals:        counter("caac_sockets_refused_total", "Sockets refused at hello, by reason.", "reason"),
		lettersLost:     prometheus.NewCounter(prometheus.CounterOpts{Name: "caac_bus_letters_lost_total", Help: "Letters to other nodes that the bus did not take."}),
		lettersMissed:   prometheus.NewCounter(prometheus.CounterOpts{Name: "caac_bus_letters_missed_total", Help: "Gaps in what was heard of other nodes."}),
		callsUnanswered: prometheus.NewCounter(prometheus.CounterOpts{Name: "caac_bus_calls_unanswered_total", Help: "Operations that a partition's owner did not answer in time, carried out here."}),
		toFrame: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "caac_message_to_frame_seconds", Help: "From a message's acceptance to its frame queued for a socket.", Buckets: buckets,
		}),
		toPush: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "caac_message_to_push_seconds", Help: "From a message's acceptance to the push service's acceptance.", Buckets: buckets,
		}),
	}
}

// register registers everything, with gauges read from the hub when asked.
func (m *metrics) register(r prometheus.Registerer, h *Hub) error {
	for _, c := range []prometheus.Collector{
		m.messages, m.decisions, m.ends, m.reachedNobody, m.deadlines, m.pushAnswers, m.receipts,
		m.drops, m.refusals, m.lettersLost, m.lettersMissed, m.callsUnanswered, m.toFrame, m.toPush, &gauges{h},
	} {
		if err := r.Register(c); err != nil {
			return err
		}
	}
	return nil
}

func (m *metrics) dropped(reason string) { m.drops.WithLabelValues(reason).Inc() }
func (m *metrics) refused(reason string) { m.refusals.WithLabelValues(reason).Inc() }

// answerHosts are the push hosts that are counted by name. Agents name them, any
// under a push service's domain.
type answerHosts struct {
	mu    sync.Mutex
	known map[string]bool
}

const (
	maxAnswerHosts = 100
	otherHosts     = "other"
)

func (m *metrics) answered(a notify.PushAnswer) {
	h := &m.hosts
	h.mu.Lock()
	host := a.Host
	if !h.known[host] {
		if len(h.known) < maxAnswerHosts {
			h.known[host] = true
		} else {
			host = otherHosts
		}
	}
	h.mu.Unlock()
	m.pushAnswers.WithLabelValues(host, string(a.Class)).Inc()
}

func (m *metrics) decided(d notify.Decision) {
	m.decisions.WithLabelValues(string(d.Channel), string(d.Reason)).Inc()
}

// settled counts a record all of whose deliveries have ended.
func (m *metrics) settled(f *notify.Fanout) {
	for i := range f.Deliveries {
		m.ends.WithLabelValues(string(f.Deliveries[i].End), string(f.Deliveries[i].EndReason)).Inc()
	}
}

// nobody counts a message that reached nobody once, by the cause most of its
// deliveries have; of equals the first word.
func (m *metrics) nobody(ds []notify.Delivery) {
	n := map[notify.Reason]int{}
	var most notify.Reason
	for _, d := range ds {
		n[d.EndReason]++
		if c := n[d.EndReason]; c > n[most] || c == n[most] && d.EndReason < most {
			most = d.EndReason
		}
	}
	m.reachedNobody.WithLabelValues(string(most)).Inc()
}

func (m *metrics) framed(msg *notify.Message) {
	if !msg.Accepted.IsZero() {
		m.toFrame.Observe(time.Since(msg.Accepted).Seconds())
	}
}

func (m *metrics) pushed(accepted time.Time) { m.toPush.Observe(time.Since(accepted).Seconds()) }

// gauges are read from the hub when they are asked for.
type gauges struct{ h *Hub }

var (
	socketsDesc  = prometheus.NewDesc("caac_sockets", "Open sockets, by presence.", []string{"presence"}, nil)
	dueDesc      = prometheus.NewDesc("caac_due", "Due work not done yet, by kind.", []string{"kind"}, nil)
	overdueDesc  = prometheus.NewDesc("caac_due_oldest_seconds", "Age of the oldest overdue work, by kind.", []string{"kind"}, nil)
	nodesDesc    = prometheus.NewDesc("caac_nodes", "Nodes of the deployment that this one knows of, itself among them.", nil, nil)
	ownedDesc    = prometheus.NewDesc("caac_partitions_owned", "Partitions this node owns.", nil, nil)
	onDutyDesc   = prometheus.NewDesc("caac_on_duty", "Agents on duty.", nil, nil)
	mutedDesc    = prometheus.NewDesc("caac_on_duty_muted", "Agents on duty who turned notifications off.", nil, nil)
	unreachDesc  = prometheus.NewDesc("caac_on_duty_unreachable", "Agents on duty whom no message would reach now, by cause.", []string{"cause"}, nil)
	laneDesc     = prometheus.NewDesc("caac_push_waiting", "Pushes that wait for their host's lane.", []string{"host"}, nil)
	allPresences = []notify.Presence{notify.Hidden, notify.Visible, notify.Active}
	allKinds     = []notify.DueKind{notify.DueFanout, notify.DueAssign, notify.DueAnswered, notify.DueDeadline, notify.DueRing, notify.DueSend}
)

func (g *gauges) Describe(ch chan<- *prometheus.Desc) {
	ch <- socketsDesc
	ch <- dueDesc
	ch <- overdueDesc
	ch <- laneDesc
	ch <- nodesDesc
	ch <- ownedDesc
	ch <- onDutyDesc
	ch <- mutedDesc
	ch <- unreachDesc
}

func (g *gauges) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, label string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, label)
	}
	tally := g.h.sockets.tally()
	for _, p := range allPresences {
		gauge(socketsDesc, float64(tally[p]), p.String())
	}
	mine, _ := g.h.peers.split()
	ch <- prometheus.MustNewConstMetric(nodesDesc, prometheus.GaugeValue, float64(g.h.peers.count()))
	ch <- prometheus.MustNewConstMetric(ownedDesc, prometheus.GaugeValue, float64(len(mine)))
	for host, n := range g.h.lanes.waiting() {
		gauge(laneDesc, float64(n), host)
	}
	ctx, cancel := context.WithTimeout(g.h.base, 2*time.Second)
	defer cancel()
	if sum, err := g.h.ReachSummary(ctx); err == nil {
		ch <- prometheus.MustNewConstMetric(onDutyDesc, prometheus.GaugeValue, float64(sum.OnDuty))
		ch <- prometheus.MustNewConstMetric(mutedDesc, prometheus.GaugeValue, float64(sum.Muted))
		for c, n := range sum.Unreachable {
			gauge(unreachDesc, float64(n), string(c))
		}
	}
	pending, err := g.h.store.Pending(ctx, time.Now())
	if err != nil {
		return
	}
	for _, k := range allKinds {
		gauge(dueDesc, float64(pending[k].Count), string(k))
		gauge(overdueDesc, pending[k].Oldest.Seconds(), string(k))
	}
}
